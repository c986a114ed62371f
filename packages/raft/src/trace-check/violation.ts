import type { TraceEvent } from '../trace.js';

/** An event that no rule allows after the previous ones. */
export class TraceViolation extends Error {
  /** Counted from 1: the line of the trace. */
  readonly line: number;
  readonly event: TraceEvent;

  constructor(line: number, event: TraceEvent, why: string) {
    super(`event ${line}, ${event.name} of member ${event.nid}: ${why}`);
    this.line = line;
    this.event = event;
  }
}

/** Why a rule does not hold; the checker adds the event. */
export class RuleBroken extends Error {}

export function rule(holds: boolean, why: () => string): asserts holds {
  if (!holds) throw new RuleBroken(why());
}
