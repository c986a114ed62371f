import { quorumReached } from './quorum.js';
import type { ConfState, MemberId } from './types.js';

const PPM = 1_000_000;

/**
 * How long a leader may read without asking anybody (thesis §6.4.1).
 *
 * **What it rests on.** Who hears a leader promises it to elect nobody else for P = `promiseMs` by its
 * own clock (promise.ts), and says so in its answer to a heartbeat. While a quorum is bound by such
 * promises nobody else can be elected, so nobody else can have committed anything, and the leader's
 * commit index is the latest there is.
 *
 * **How long it lasts.** A round of heartbeats leaves when the leader's clock shows s; a voter hears
 * of it later than that, whenever its answer arrives. So time counts from s, never from the answer.
 * Let every clock run at a rate between 1-ρ and 1+ρ of true time. The voter's promise lasts, in true
 * time, at least P/(1+ρ): its clock may be fast. A leader that believes for D by its own clock
 * believes for at most D/(1-ρ) of true time: its clock may be slow. The one must not exceed the other:
 *
 *     D <= P * (1-ρ) / (1+ρ)
 *
 * So a voter binds itself until s + D on the leader's clock, and the lease lasts as long as a quorum
 * is bound. The clocks' readings are never compared, and a clock that jumps forward only shortens a
 * lease. A clock that stands still while the process is suspended breaks the bound.
 *
 * **Which quorum.** One of the configuration of now, in a joint one a majority of each half. A
 * candidate counts with a configuration that is applied at it. It wins only with a log that has all
 * committed changes, so its configuration is the latest committed one or the one before, and quorums
 * of neighbours overlap: in a voter that would have to break its promise. For that the leader's own
 * configuration must be the latest: there is no lease while a change in its log is not applied.
 *
 * **What breaks promises.** A member that was told to campaign (TimeoutNow) asks for votes that ignore
 * them, and the order may arrive late. A leader that has sent one has no lease for the rest of its
 * leadership.
 */
export class Lease {
  /** (1-ρ)/(1+ρ) */
  private readonly share: number;
  private readonly ownPromiseMs: number;
  private readonly maxRounds: number;
  /** Rounds that have left, oldest first, and when by our clock. */
  private sent: { readonly round: number; readonly atMs: number }[] = [];
  /** A round that was begun and has not left; 0 if none. */
  private begun = 0;
  private readonly boundUntil = new Map<MemberId, number>();
  private over = false;

  /**
   * @param driftPpm ρ, in parts per million
   * @param maxRounds rounds under way that are remembered; an answer to an older one does not count
   */
  constructor(driftPpm: number, ownPromiseMs: number, maxRounds: number) {
    this.share = (PPM - driftPpm) / (PPM + driftPpm);
    this.ownPromiseMs = ownPromiseMs;
    this.maxRounds = maxRounds;
  }

  /** A round of heartbeats is about to leave. Rounds in between, for reads, count as this one. */
  begin(round: number): void {
    if (this.begun === 0) this.begun = round;
  }

  /** What was begun leaves at `nowMs` or later. */
  leaves(nowMs: number): void {
    if (this.begun === 0) return;
    if (this.sent.length >= this.maxRounds) this.sent.shift();
    this.sent.push({ round: this.begun, atMs: nowMs });
    this.begun = 0;
  }

  /** A member answered a round, and promised. */
  answered(id: MemberId, round: number, promiseMs: number): void {
    const known = this.sent.findLast((past) => past.round <= round);
    if (known === undefined || promiseMs === 0) return;
    const untilMs = known.atMs + promiseMs * this.share;
    if (untilMs > (this.boundUntil.get(id) ?? 0)) this.boundUntil.set(id, untilMs);
  }

  /** Ends it, for the rest of this leadership. */
  renounce(): void {
    this.over = true;
  }

  /** @returns how much is left by this clock, ms; 0 when there is none. */
  remainingMs(conf: ConfState, self: MemberId, nowMs: number): number {
    if (this.over) return 0;
    // To ourselves we could promise it anew at any moment.
    const own = nowMs + this.ownPromiseMs * this.share;
    const untilMs = quorumReached(conf, (id) =>
      id === self ? own : (this.boundUntil.get(id) ?? 0),
    );
    return Math.max(0, untilMs - nowMs);
  }
}
