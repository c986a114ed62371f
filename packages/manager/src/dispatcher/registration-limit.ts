import { REGISTRATIONS_LIMIT, REGISTRATIONS_WINDOW_MS } from './limits.js';

/** Refuses a node that opens sessions in a loop. */
export class RegistrationLimit {
  readonly #times = new Map<string, number[]>();

  /** Counts a connection. @returns whether it is one too many for this node */
  exceeded(nodeId: string, nowMs: number): boolean {
    const recent = (this.#times.get(nodeId) ?? []).filter(
      (time) => nowMs - time < REGISTRATIONS_WINDOW_MS,
    );
    const exceeded = recent.length >= REGISTRATIONS_LIMIT;
    if (!exceeded) recent.push(nowMs);
    this.#times.set(nodeId, recent);
    return exceeded;
  }

  forget(nodeId: string): void {
    this.#times.delete(nodeId);
  }
}
