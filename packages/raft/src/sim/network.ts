import type { Message } from '../core/message.js';
import type { MemberId } from '../core/types.js';
import type { TransportLimits } from '../transport/limits.js';
import type { Wire } from '../transport/paired-line.js';
import type { Coverage } from './coverage.js';
import type { Prng, Ratio } from './prng.js';
import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';
import type { SimTransport } from './transport.js';

/** How bad the network is, besides what is done to it on purpose. */
export interface NetworkPlan {
  readonly delayUs: number;
  readonly loss: Ratio;
  readonly duplicate: Ratio;
  readonly reorder: Ratio;
  /** Chance that a copy of a message arrives once more, seconds later. */
  readonly replay: Ratio;
  /** Chance that a frame of a snapshot's connection is lost, which breaks it. */
  readonly chunkLoss: Ratio;
  /** Sizes and times of snapshots' connections. */
  readonly transfer: Partial<TransportLimits>;
  /** Chance that a sender hears that its message was lost. */
  readonly notice: Ratio;
  /** Turn messages into bytes and back. */
  readonly encode: boolean;
}

interface Link {
  cut: boolean;
  cloggedUntilUs: number;
  lastArrivalUs: number;
  /** Messages that wait for `release`. */
  held: (() => void)[] | undefined;
}

/** What is told of every message, for invariants, traces and the digest. */
export interface NetworkObserver {
  sent(message: Message): void;
  arrived(message: Message): void;
}

/** All links between members. Each direction of a link has its own faults. */
export class SimNetwork {
  plan: NetworkPlan;
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly observer: NetworkObserver;
  readonly coverage: Coverage;
  private readonly links = new Map<number, Link>();
  private readonly transports = new Map<MemberId, SimTransport>();

  constructor(
    plan: NetworkPlan,
    scheduler: Scheduler,
    prng: Prng,
    observer: NetworkObserver,
    coverage: Coverage,
  ) {
    this.plan = plan;
    this.scheduler = scheduler;
    this.prng = prng;
    this.observer = observer;
    this.coverage = coverage;
  }

  /** A member's newest process is the one that is reached. */
  attach(id: MemberId, transport: SimTransport): void {
    this.transports.get(id)?.broken('its process started again');
    this.transports.set(id, transport);
  }

  /** The process is gone: connections break, and peers notice some time later. */
  detach(id: MemberId, transport: SimTransport): void {
    if (this.transports.get(id) === transport) this.transports.delete(id);
    transport.broken('its process is gone');
  }

  transport(id: MemberId): SimTransport | undefined {
    return this.transports.get(id);
  }

  link(from: MemberId, to: MemberId): Link {
    const key = from * LINK_STRIDE + to;
    let link = this.links.get(key);
    if (link === undefined) {
      link = { cut: false, cloggedUntilUs: 0, lastArrivalUs: 0, held: undefined };
      this.links.set(key, link);
    }
    return link;
  }

  cut(from: MemberId, to: MemberId): void {
    this.link(from, to).cut = true;
  }

  mend(from: MemberId, to: MemberId): void {
    this.link(from, to).cut = false;
  }

  clog(from: MemberId, to: MemberId, untilUs: number): void {
    this.link(from, to).cloggedUntilUs = untilUs;
  }

  /** Messages hang, in order, until they are released; snapshots have connections of their own. */
  hold(from: MemberId, to: MemberId): void {
    this.link(from, to).held ??= [];
  }

  /** Lets go the first `count` of the messages that hang; all that is sent from now on, too, if all. */
  release(from: MemberId, to: MemberId, count = Number.POSITIVE_INFINITY): void {
    const link = this.link(from, to);
    for (const send of link.held?.splice(0, count) ?? []) send();
    if (count === Number.POSITIVE_INFINITY) link.held = undefined;
  }

  mendAll(): void {
    for (const link of this.links.values()) {
      link.cut = false;
      link.cloggedUntilUs = 0;
      for (const send of link.held ?? []) send();
      link.held = undefined;
    }
  }

  isCut(from: MemberId, to: MemberId): boolean {
    return this.link(from, to).cut;
  }

  /** When something sent now arrives. */
  arrivalDelayUs(from: MemberId, to: MemberId): number {
    const { nowUs } = this.scheduler;
    const link = this.link(from, to);
    let atUs = nowUs + 1 + this.prng.delay(this.plan.delayUs);
    if (link.cloggedUntilUs > atUs) atUs = link.cloggedUntilUs + this.prng.below(1000);
    if (this.prng.chance(this.plan.reorder)) {
      if (atUs < link.lastArrivalUs) this.coverage.mark('message reordered');
    } else {
      atUs = Math.max(atUs, link.lastArrivalUs);
      link.lastArrivalUs = atUs;
    }
    return atUs - nowUs;
  }

  /**
   * For one connection of a snapshot. A link that is cut breaks it with the next frame.
   * @param ends the processes at its ends; the farther one is missing until it has taken it.
   */
  wire(ends: ReadonlyMap<MemberId, SimProcess>): Wire {
    const { scheduler, prng, coverage } = this;
    return {
      breaks: (_frame, from, to) => {
        const breaks = this.isCut(from, to) || prng.chance(this.plan.chunkLoss);
        if (breaks) coverage.mark('snapshot broken off');
        return breaks;
      },
      carry: (from, to, arrived) => {
        scheduler.after(this.arrivalDelayUs(from, to), () => ends.get(to)?.enter(arrived));
      },
      notice: (at, _of, noticed) => {
        // A reset is noticed at once, silence is not.
        const withinUs = prng.pick([100, NOTICE_US]);
        scheduler.after(prng.below(withinUs), () => ends.get(at)?.enter(noticed));
      },
      keepsFlight: () => prng.below(2) === 0,
    };
  }

  send(from: MemberId, message: Message, lost: () => void): void {
    const { prng, plan, scheduler } = this;
    const { to } = message;
    if (prng.chance(plan.replay)) {
      scheduler.after(prng.below(LATEST_REPLAY_US), () => {
        if (this.deliver(from, message)) this.coverage.mark('message replayed');
      });
    }
    if (this.isCut(from, to) || prng.chance(plan.loss)) {
      this.coverage.mark('message lost');
      if (prng.chance(plan.notice)) lost();
      return;
    }
    const copies = prng.chance(plan.duplicate) ? 2 : 1;
    if (copies > 1) this.coverage.mark('message duplicated');
    const send = () => {
      scheduler.after(this.arrivalDelayUs(from, to), () => {
        if (!this.deliver(from, message) && prng.chance(plan.notice)) lost();
      });
    };
    const { held } = this.link(from, to);
    for (let copy = 0; copy < copies; copy++) {
      if (held === undefined) send();
      else held.push(send);
    }
  }

  /** @returns whether the message got there. */
  private deliver(from: MemberId, message: Message): boolean {
    const { to } = message;
    const receiver = this.isCut(from, to) ? undefined : this.transports.get(to);
    receiver?.take(from, message);
    return receiver !== undefined;
  }
}

/** Time until an end of a connection notices that it broke, at most. */
const NOTICE_US = 2_000_000;
/** A copy of a message may turn up so much later. */
const LATEST_REPLAY_US = 10_000_000;
/** Above every member id. */
const LINK_STRIDE = 1000;
