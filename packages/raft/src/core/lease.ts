import { quorumReached } from './quorum.js';
import type { ConfState, MemberId } from './types.js';

const PPM = 1_000_000;

/**
 * How long a leader may serve reads without asking anybody (thesis §6.4.1).
 *
 * **What it rests on.** A member that hears a leader promises to elect nobody else for P =
 * `promiseMs` by its own clock (promise.ts), and says so in its answer to a heartbeat. While a
 * quorum is bound by such promises, nobody else can be elected, so nobody else can have committed
 * anything, and the leader's commit index is the latest there is.
 *
 * **How long it lasts.** A round of heartbeats leaves when the leader's clock shows s. A voter
 * hears of it later than that, whenever its answer arrives. So time counts from s, never from the
 * answer. Let every clock run at a rate between 1-ρ and 1+ρ of true time. The voter's promise
 * lasts, in true time, at least P/(1+ρ): its clock may be fast. A leader that believes for D by its
 * own clock believes for at most D/(1-ρ) of true time: its clock may be slow. The second must not
 * exceed the first:
 *
 *     D <= P * (1-ρ) / (1+ρ)
 *
 * So a voter is bound until s + D on the leader's clock, and the lease lasts as long as a quorum is
 * bound. The core never compares readings of two clocks, and a clock that jumps forward only
 * shortens a lease. A clock that stands still while the process is suspended breaks the bound.
 *
 * **Which quorum.** A quorum of the current configuration; in a joint one, a majority of each half.
 * A candidate counts with the configuration it has applied. It wins only with a log that has all
 * committed changes, so its configuration is the latest committed one or the one before. Quorums of
 * neighbouring configurations overlap in a voter that would have to break its promise. For that,
 * the leader's own configuration must be the latest: there is no lease while its log holds an
 * unapplied change.
 *
 * **What breaks promises.** A member ordered to campaign (TimeoutNow) asks for votes that ignore
 * promises, and the order may arrive late. A leader that has sent one has no lease for the rest of
 * its leadership.
 */
export class Lease {
  /** (1-ρ)/(1+ρ) */
  private readonly share: number;
  private readonly ownPromiseMs: number;
  private readonly maxRounds: number;
  /** Rounds that have left, oldest first, with the time on our clock. */
  private sent: { readonly round: number; readonly atMs: number }[] = [];
  /** A round that has begun but not left; 0 if no such round exists. */
  private begun = 0;
  private readonly boundUntil = new Map<MemberId, number>();
  private over = false;

  /**
   * @param driftPpm ρ, in parts per million
   * @param maxRounds how many rounds in flight to remember; an answer to an older one does not
   * count
   */
  constructor(driftPpm: number, ownPromiseMs: number, maxRounds: number) {
    this.share = (PPM - driftPpm) / (PPM + driftPpm);
    this.ownPromiseMs = ownPromiseMs;
    this.maxRounds = maxRounds;
  }

  /**
   * Notes that a round of heartbeats is about to leave. Later rounds for reads, until it leaves,
   * count as this one.
   */
  begin(round: number): void {
    if (this.begun === 0) this.begun = round;
  }

  /** Notes that the round leaves at `nowMs` or later. */
  leaves(nowMs: number): void {
    if (this.begun === 0) return;
    if (this.sent.length >= this.maxRounds) this.sent.shift();
    this.sent.push({ round: this.begun, atMs: nowMs });
    this.begun = 0;
  }

  /** Records a member's answer to a round and the promise in it. */
  answered(id: MemberId, round: number, promiseMs: number): void {
    const known = this.sent.findLast((past) => past.round <= round);
    if (known === undefined || promiseMs === 0) return;
    const untilMs = known.atMs + promiseMs * this.share;
    if (untilMs > (this.boundUntil.get(id) ?? 0)) this.boundUntil.set(id, untilMs);
  }

  /** Ends the lease for the rest of this leadership. */
  renounce(): void {
    this.over = true;
  }

  /** @returns how much is left by this clock, in ms; 0 when there is no lease */
  remainingMs(conf: ConfState, self: MemberId, nowMs: number): number {
    if (this.over) return 0;
    // We could renew our promise to ourselves at any moment.
    const own = nowMs + this.ownPromiseMs * this.share;
    const untilMs = quorumReached(conf, (id) =>
      id === self ? own : (this.boundUntil.get(id) ?? 0),
    );
    return Math.max(0, untilMs - nowMs);
  }
}
