import type { Clock } from '@swarm/api';
import { asksForOwn, type Engine, momentOf, readEventLines, type SandboxEvents } from '@swarm/http';

/** How long the engine may take to tell what happened before. It keeps 256 events. */
const PAST_LIMIT_MS = 5_000;
const PAST_LINES_LIMIT = 4_096;
/** How far the streams of past and new events overlap, so that no event falls between them. */
const OVERLAP_MS = 2_000;

/** An event of the engine as it sent it. */
export interface EngineLine {
  /** Nanoseconds since the epoch. */
  readonly timeNano: number;
  readonly line: string;
}

/** The engine's events for one client: first the past ones, then those that come. */
export class EngineEventSource {
  readonly #engine: Engine;
  readonly #query: URLSearchParams;
  readonly #clock: Clock;
  readonly #sandboxes: SandboxEvents | undefined;
  /** Past events that the new stream repeats. */
  readonly #told = new Set<string>();

  private constructor(
    engine: Engine,
    query: URLSearchParams,
    clock: Clock,
    sandboxes: SandboxEvents | undefined,
  ) {
    this.#engine = engine;
    this.#query = query;
    this.#clock = clock;
    this.#sandboxes = sandboxes;
  }

  /** @param query of the client's request */
  static async open(
    engine: Engine,
    query: URLSearchParams,
    clock: Clock,
  ): Promise<EngineEventSource> {
    const sandboxes = asksForOwn(query) ? undefined : await engine.sandboxEvents();
    return new EngineEventSource(engine, query, clock, sandboxes);
  }

  /**
   * The events up to now, or up to an earlier `until`, oldest first. None when the engine does not answer.
   * @param nowMs milliseconds since the epoch, like `untilMs`
   */
  async past(
    nowMs: number,
    untilMs: number | undefined,
    signal: AbortSignal,
  ): Promise<readonly EngineLine[]> {
    const query = new URLSearchParams(this.#query);
    if (untilMs === undefined || untilMs > nowMs) query.set('until', seconds(nowMs));
    const limit = new AbortController();
    const timer = this.#clock.setTimeout(() => limit.abort(), PAST_LIMIT_MS);
    const lines: EngineLine[] = [];
    await this.#read(query, AbortSignal.any([signal, limit.signal]), (timeNano, line) => {
      lines.push({ timeNano, line });
      if (timeNano >= (nowMs - OVERLAP_MS) * 1e6) this.#told.add(line);
      if (lines.length >= PAST_LINES_LIMIT) limit.abort();
    });
    this.#clock.clearTimeout(timer);
    return lines;
  }

  /**
   * Passes on events as they come, until the engine ends the stream or `signal` does.
   * @param sinceMs when the past events were asked for; undefined when they were not
   */
  async follow(
    sinceMs: number | undefined,
    put: (line: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const query = new URLSearchParams(this.#query);
    if (sinceMs !== undefined) {
      const fromMs = sinceMs - OVERLAP_MS;
      if ((momentOf(query, 'since') ?? 0) < fromMs) query.set('since', seconds(fromMs));
    }
    await this.#read(query, signal, (_, line) => {
      if (!this.#told.delete(line)) put(line);
    });
  }

  async #read(
    query: URLSearchParams,
    signal: AbortSignal,
    take: (timeNano: number, line: string) => void,
  ): Promise<void> {
    const text = query.toString();
    const source = await this.#engine.stream(`/events${text === '' ? '' : `?${text}`}`, signal);
    if (source === undefined) return;
    await readEventLines(source, (event, line) => {
      if (this.#sandboxes?.has(event) !== true) take(event.timeNano ?? 0, line);
    });
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
