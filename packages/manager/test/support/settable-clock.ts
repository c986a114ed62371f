import { VirtualClock } from '@swarm/sim';
import { START_MS } from './start-time.js';

/** A virtual clock whose wall time a test sets, as an administrator would. */
export class SettableClock extends VirtualClock {
  offsetMs = 0;

  constructor() {
    super(START_MS);
  }

  override now(): number {
    return super.now() + this.offsetMs;
  }
}
