import type { Assignments, Clock, Timer } from '@swarm/api';
import type { AssignmentSet } from './assignment-set.js';
import { MalformedMessage } from './codec.js';
import * as limits from './limits.js';

export interface AssignmentSenderOptions {
  readonly set: AssignmentSet;
  readonly clock: Clock;
  /** Sends to the agent. */
  readonly send: (message: Assignments) => void;
  /** Whether the session is over. */
  readonly ended: () => boolean;
  /** Ends the session. */
  readonly fail: (reason: string) => void;
  /**
   * Whether the agent takes a complete set in pieces and acknowledges what it applied. One that does not gets
   * the whole set in one message, and changes without a window.
   */
  readonly acknowledges: boolean;
}

/**
 * Sends a session's assignments: a complete set in pieces, then changes, collected for a moment. Stays at most
 * a window ahead of what the agent acknowledged, so that answers to heartbeats never wait behind more.
 */
export class AssignmentSender {
  readonly #options: AssignmentSenderOptions;
  readonly #set: AssignmentSet;
  /** `resultsIn` and bytes of unacknowledged messages, oldest first. */
  readonly #inflight: { readonly number: number; readonly bytes: number }[] = [];
  #inflightBytes = 0;
  #isComplete = false;
  #soon: { readonly timer: Timer; readonly sinceMs: number } | undefined;
  #silence: Timer;

  constructor(options: AssignmentSenderOptions) {
    this.#options = options;
    this.#set = options.set;
  }

  /** Bytes under way, estimated. */
  get inflightBytes(): number {
    return this.#inflightBytes;
  }

  /** Notes that the task may have changed. */
  touchTask(taskId: string): void {
    this.#set.touchTask(taskId);
    this.#sendSoon();
  }

  /** Notes that the object may have been changed, added or removed. */
  touchObject(kind: string, id: string): void {
    this.#set.touchObject(kind, id);
    this.#sendSoon();
  }

  /**
   * Notes that the agent has applied everything up to this message.
   * @throws MalformedMessage when it was not sent
   */
  acknowledged(resultsIn: number): void {
    if (resultsIn > this.#set.number) {
      throw new MalformedMessage('acknowledges assignments that were not sent');
    }
    let first = this.#inflight[0];
    if (first === undefined || resultsIn < first.number) return;
    while (first !== undefined && first.number <= resultsIn) {
      this.#inflight.shift();
      this.#inflightBytes -= first.bytes;
      first = this.#inflight[0];
    }
    this.#watch();
    // Changes that are being collected wait for their own timer.
    if (this.#soon === undefined) this.flush();
  }

  /** Sends pending changes until the window is full. */
  flush(): void {
    this.#options.clock.clearTimeout(this.#soon?.timer);
    this.#soon = undefined;
    while (!this.#options.ended() && this.#inflightBytes < limits.ASSIGNMENTS_WINDOW_BYTES) {
      const taken = this.#set.take(this.#limits());
      if (taken === undefined) return;
      const { message, bytes } = taken;
      if (message.set === 'complete') this.#isComplete = true;
      if (this.#options.acknowledges) {
        this.#inflight.push({ number: message.resultsIn, bytes });
        this.#inflightBytes += bytes;
        if (this.#inflight.length === 1) this.#watch();
      }
      this.#options.send(message);
    }
  }

  close(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#soon?.timer);
    clock.clearTimeout(this.#silence);
    this.#set.close();
  }

  #limits() {
    if (this.#isComplete) {
      return { changes: limits.ASSIGNMENTS_LIMIT, bytes: limits.ASSIGNMENTS_BYTES_LIMIT };
    }
    if (!this.#options.acknowledges) return { changes: Infinity, bytes: Infinity };
    return { changes: limits.ASSIGNMENTS_PIECE_LIMIT, bytes: limits.ASSIGNMENTS_BYTES_LIMIT };
  }

  #sendSoon(): void {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const sinceMs = this.#soon?.sinceMs ?? nowMs;
    clock.clearTimeout(this.#soon?.timer);
    const full = this.#set.pending >= limits.ASSIGNMENTS_LIMIT;
    const leftMs = sinceMs + limits.ASSIGNMENTS_DELAY_LIMIT_MS - nowMs;
    const waitMs = full ? 0 : Math.max(0, Math.min(limits.ASSIGNMENTS_QUIET_MS, leftMs));
    this.#soon = { timer: clock.setTimeout(() => this.flush(), waitMs), sinceMs };
  }

  /** Waits for the acknowledgement of the oldest message under way. */
  #watch(): void {
    const { clock, fail } = this.#options;
    clock.clearTimeout(this.#silence);
    this.#silence = undefined;
    if (this.#inflight.length === 0) return;
    this.#silence = clock.setTimeout(
      () => fail('no assignment was acknowledged in time'),
      limits.ASSIGNMENTS_ACK_LIMIT_MS,
    );
  }
}
