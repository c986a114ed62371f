import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../lab/index.js';

const ASK_MS = 50;

/** Waits that end at once, with an error, when the torture is called off. */
export class Patience {
  readonly signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.signal });
  }

  /** As `until`. @throws when the deadline passes */
  async until<T>(
    what: string,
    condition: () => Promise<T | undefined | false> | T | undefined | false,
    deadlineMs: number,
  ): Promise<T> {
    const { signal } = this;
    const found = await until<{ readonly value?: T }>(
      what,
      async () => {
        if (signal.aborted) return {};
        const value = await condition();
        return value === undefined || value === false ? undefined : { value };
      },
      { deadlineMs, everyMs: ASK_MS },
    );
    signal.throwIfAborted();
    return found.value!;
  }

  /**
   * Returns the result of `job`, or undefined when it takes longer. The job must not reject later.
   */
  async within<T>(ms: number, job: Promise<T>): Promise<T | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), ms);
    });
    try {
      return await Promise.race([job, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
