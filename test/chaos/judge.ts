import type { Counts, Death, Failure, Outage, ServerNote } from './record.js';

/** What happened to tasks and nodes. */
export interface History {
  readonly servers: readonly ServerNote[];
  readonly deaths: readonly Death[];
  readonly outages: readonly Outage[];
  /** The node by the address that clients outside use, and by the name of the client that runs on it. */
  readonly nodeOf: Readonly<Record<string, string>>;
}

export interface Verdict {
  /** What nothing explains. */
  readonly faults: readonly Failure[];
  /** Failures by kind and by what explains them. */
  readonly explained: Readonly<Record<string, Explained>>;
}

export interface Explained {
  readonly count: number;
  /** From the start of the longest to its failure. */
  readonly longestMs: number;
}

/** Between a kill and the time that the one who killed wrote down. */
const SLACK_MS = 300;
/** Until the client of a task that was killed knows: its node resets the connection. */
const DEATH_SEEN_MS = 2_000;
/** Until others know that a node is gone: three heartbeats, and resetting what leads there. */
const OUTAGE_SEEN_MS = 8_000;
/** The same for the leader: an election, and the time that the next leader gives nodes to come back. */
const LEADER_OUTAGE_SEEN_MS = 14_000;

/** A task gets no new flows for this long before it stops. */
const DRAIN_LIMIT_MS = 15_000;

interface TaskEnd {
  readonly node: string;
  readonly stoppingAt: number;
  readonly killedAt: number;
}

/**
 * Says which failures are nobody's fault: a request whose task was killed with it, a long connection whose task ended,
 * and what a client does through a node that is off or cut off.
 */
export class ChaosJudge {
  readonly #history: History;
  readonly #tasks = new Map<string, TaskEnd>();
  readonly #taskOf = new Map<string, string>();

  constructor(history: History) {
    this.#history = history;
    const killed = new Map(history.deaths.map(({ task, at }) => [task, at]));
    for (const { task, node, at, is, got } of history.servers) {
      if (got !== undefined) this.#taskOf.set(got, task);
      const known = this.#tasks.get(task);
      const stoppingAt = is === 'stopping' ? at : (known?.stoppingAt ?? Infinity);
      this.#tasks.set(task, { node, stoppingAt, killedAt: killed.get(task) ?? Infinity });
    }
  }

  judge(failures: readonly Failure[]): Verdict {
    const faults: Failure[] = [];
    const explained: Record<string, Explained> = {};
    for (const failure of failures) {
      const why = this.#explain(failure);
      if (why === undefined) {
        faults.push(failure);
        continue;
      }
      const before = explained[`${failure.kind}: ${why}`];
      explained[`${failure.kind}: ${why}`] = {
        count: (before?.count ?? 0) + 1,
        longestMs: Math.max(before?.longestMs ?? 0, failure.end - failure.start),
      };
    }
    return { faults, explained };
  }

  #explain(failure: Failure): string | undefined {
    const { start, end, client, entry } = failure;
    const own = this.#history.nodeOf[client] ?? this.#history.nodeOf[entry];
    const isOut = this.#history.outages.some(
      ({ node, from, to }) => node === own && from - SLACK_MS <= end && start <= to,
    );
    if (isOut) return 'its own node was out';
    const task = failure.task ?? this.#taskOf.get(failure.id);
    if (failure.kind === 'udp') return this.#silence(failure);
    if (task !== undefined) return this.#endOf(task, failure);
    // The kernel says by its error that it was connected, when the program has not been told yet.
    if (failure.connected === undefined && failure.error !== 'ECONNRESET') return undefined;
    // Connected, and no task has read it: it waited in the socket of a task that died.
    const died = [...this.#tasks.keys()].some(
      (each) => this.#endOf(each, { ...failure, kind: 'one' }) !== undefined,
    );
    return died ? 'a task died with it unread' : undefined;
  }

  /** How this task's end explains a failure. Whoever stops in order ends requests, but not connections without end. */
  #endOf(task: string, { kind, start, end }: Failure): string | undefined {
    const known = this.#tasks.get(task);
    if (known === undefined) return undefined;
    // A request on a connection that was kept may begin when its task is gone, as long as nobody knows.
    const died = (at: number, limitMs: number): boolean =>
      start <= at + (kind === 'keep' ? limitMs : SLACK_MS) && within(end, at, limitMs);
    if (died(known.killedAt, DEATH_SEEN_MS)) return 'its task was killed';
    const isOut = this.#history.outages.some(
      (outage) => outage.node === known.node && died(outage.from, seenMs(outage)),
    );
    if (isOut) return 'its task was on a node that went out';
    const hasNoEnd = kind === 'half' || kind === 'long';
    if (hasNoEnd && known.stoppingAt <= end) return 'its task was stopped';
    return undefined;
  }

  /**
   * A flow is silent for as long as nobody can know that its task is gone. It also may move, or begin, while the node
   * that it is led to has just gone out.
   */
  #silence({ task, start, end }: Failure): string | undefined {
    const known = task === undefined ? undefined : this.#tasks.get(task);
    const { outages } = this.#history;
    const isOut = (node?: string): boolean =>
      outages.some(
        (each) =>
          (node === undefined || each.node === node) && within(end, each.from, seenMs(each)),
      );
    if (known === undefined) return isOut() ? 'it began when a node went out' : undefined;
    if (start <= known.killedAt && within(end, known.killedAt, DEATH_SEEN_MS))
      return 'its task was killed';
    if (isOut(known.node)) return 'its task was on a node that went out';
    const moves = Math.min(known.killedAt, known.stoppingAt - DRAIN_LIMIT_MS) <= end;
    return moves && isOut() ? 'it moved when a node went out' : undefined;
  }
}

function seenMs({ led }: Outage): number {
  return led ? LEADER_OUTAGE_SEEN_MS : OUTAGE_SEEN_MS;
}

function within(end: number, at: number, limitMs: number): boolean {
  return at - SLACK_MS <= end && end <= at + limitMs;
}

/** Sums the last counts of each client, by kind. */
export function totals(counts: readonly Counts[]): Record<string, number> {
  const last = new Map(counts.map((each) => [each.client, each.counts]));
  const sums: Record<string, number> = {};
  for (const each of last.values()) {
    for (const [name, count] of Object.entries(each)) {
      const kind = name.split(' ')[0]!;
      sums[kind] = (sums[kind] ?? 0) + count;
    }
  }
  return sums;
}
