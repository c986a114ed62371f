import type { TraceEvent } from '../trace.js';
import { keyOf } from './mail.js';

/**
 * Merges traces of single members into one order in which everything can have happened: a message
 * was sent before it is received, a term began before others are in it, a leader committed entries
 * before others commit them, and entries were applied before a snapshot has them. Ignores clocks.
 * Other orders may be possible; the rules' verdict on them is the same.
 * @throws Error when there is no such order
 */
export function mergeTraces(traces: readonly (readonly TraceEvent[])[]): TraceEvent[] {
  const past = new Past();
  const merged: TraceEvent[] = [];
  const next = traces.map(() => 0);
  for (let moved = true; moved; ) {
    moved = false;
    for (const [i, trace] of traces.entries()) {
      for (let event = trace[next[i]!]; event !== undefined; event = trace[next[i]!]) {
        if (!past.allows(event)) break;
        past.add(event);
        merged.push(event);
        next[i]!++;
        moved = true;
      }
    }
  }
  for (const [i, trace] of traces.entries()) {
    const event = trace[next[i]!];
    if (event === undefined) continue;
    throw new Error(
      `event ${next[i]! + 1} of trace ${i + 1}, ${event.name} of member ${event.nid}: no trace says how it ` +
        `came to be: ${JSON.stringify(event)}`,
    );
  }
  return merged;
}

/** What has happened so far. */
class Past {
  private readonly sent = new Set<string>();
  private readonly begun = new Set<number>();
  private committed = 0;
  private applied = 0;

  allows({ name, role, state, msg }: TraceEvent): boolean {
    if (name === 'InitState' || name === 'BecomeCandidate') return true;
    if (!this.begun.has(state.term)) return false;
    if (role !== 'StateLeader' && state.commit > this.committed) return false;
    if (msg === undefined || !name.startsWith('Receive')) return true;
    if (name === 'ReceiveSnapshot' && msg.index > this.applied) return false;
    return this.sent.has(keyOf(msg));
  }

  add({ name, state, msg }: TraceEvent): void {
    this.begun.add(state.term);
    this.committed = Math.max(this.committed, state.commit);
    this.applied = Math.max(this.applied, state.applied);
    if (msg !== undefined && name.startsWith('Send')) this.sent.add(keyOf(msg));
  }
}
