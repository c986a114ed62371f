import { ApiError, type Logger, showControls } from '@swarm/api';
import type { StoreEvent } from './store/store.js';

/** Objects whose faults are remembered, so as to be named once; the one named first is forgotten first. */
const REMEMBERED_LIMIT = 1_000;
/** Most characters of a fault that is shown. */
const REASON_LIMIT = 200;

/** What is worked on: an object, or one of several kinds by its id. */
export interface Unit {
  readonly ID: string;
  readonly Version?: { readonly Index: number };
}

/**
 * Keeps a loop going where work on one object fails in a way that nobody foresaw: the object is named in the
 * log, once for each of its versions, and set aside; the loop serves the others. What is foreseen goes
 * through: a conflict, a lost quorum, a refused argument (an ApiError other than INTERNAL).
 */
export class SetAside {
  readonly #logger: Logger;
  readonly #named = new Map<string, number>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Works on one object.
   * @param otherwise what comes instead when that fails, given the reason in words for the user
   */
  guard<T>(kind: string, unit: Unit, work: () => T, otherwise: (reason: string) => T): T {
    try {
      return work();
    } catch (error) {
      return otherwise(this.note(kind, unit, error));
    }
  }

  /** As `guard`, where nothing comes instead. */
  attempt(kind: string, unit: Unit, work: () => void): void {
    this.guard(kind, unit, work, () => {});
  }

  /** Works on events one by one: what one object's does not bear keeps none from the others'. */
  events(events: readonly StoreEvent[], work: (event: StoreEvent) => void): void {
    for (const event of events) this.attempt(event.kind, event.object, () => work(event));
  }

  /**
   * Names a unit whose work failed.
   * @returns the reason @throws the error itself when it is one that was foreseen
   */
  note(kind: string, unit: Unit, error: unknown): string {
    if (!isFault(error)) throw error;
    const reason = reasonOf(error);
    const key = `${kind}/${unit.ID}`;
    const version = unit.Version?.Index ?? 0;
    if (this.#named.get(key) === version) return reason;
    this.#named.delete(key);
    this.#named.set(key, version);
    if (this.#named.size > REMEMBERED_LIMIT) {
      const [oldest] = this.#named.keys();
      this.#named.delete(oldest!);
    }
    const fields = { kind, id: unit.ID, version, err: error };
    this.#logger.error(fields, 'an object could not be worked on and is set aside');
    return reason;
  }
}

/** Whether it is nobody's answer, but a fault of ours or of what is stored. */
function isFault(error: unknown): boolean {
  if (error instanceof ApiError) return error.code === 'INTERNAL';
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  // What Raft and the writers say has a meaning to whoever called.
  return !(typeof code === 'string' && /^(RAFT|WRITER)_/.test(code));
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return showControls(text).slice(0, REASON_LIMIT);
}
