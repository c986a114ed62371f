import type { Prng, Ratio } from '../prng.js';
import type { Marks } from '../run/coverage.js';
import type { SimProcess } from '../time/process.js';
import type { VirtualClock } from '../time/virtual-clock.js';

/** How bad the network is, apart from deliberate faults. */
export interface NetworkPlan {
  readonly delayUs: number;
  readonly loss: Ratio;
  readonly duplicate: Ratio;
  readonly reorder: Ratio;
  /** Chance that another copy of a message arrives seconds later. */
  readonly replay: Ratio;
  /** Chance that a frame of a stream is lost, which breaks the stream. */
  readonly chunkLoss: Ratio;
  /** Chance that a sender learns that its message was lost. */
  readonly notice: Ratio;
}

/** The events of the network that coverage counts. */
export type NetworkMark =
  | 'message lost'
  | 'message duplicated'
  | 'message reordered'
  | 'message replayed';

/** The receiver under a name. */
export interface Endpoint<Name, Message> {
  /** Handles a message that arrived. */
  take(from: Name, message: Message): void;
  /** This end is gone, with its streams. */
  broken(why: string): void;
}

/**
 * What a stream between two endpoints runs over. Frames arrive in order until it breaks, and each
 * end notices the break by itself.
 */
export interface StreamWire<Name> {
  /** Decides whether the stream breaks instead of carrying this frame. */
  breaks(frame: Uint8Array, from: Name, to: Name): boolean;
  /** Calls back, in the receiving process, when what is sent now has arrived. */
  carry(from: Name, to: Name, arrived: () => void): void;
  /** Calls back, in that process, when this end of a broken stream notices. */
  notice(at: Name, of: Name, noticed: () => void): void;
  /** Decides whether what was in flight when the stream broke still arrives. */
  keepsFlight(): boolean;
}

interface Link {
  cut: boolean;
  cloggedUntilUs: number;
  lastArrivalUs: number;
  /** Messages that wait for `release`. */
  held: (() => void)[] | undefined;
}

/** The most time until an end of a stream notices that it broke. */
const NOTICE_US = 2_000_000;
/** A reset is noticed at once, silence is not. */
const RESET_US = 100;
/** The latest that a copy of a message may turn up. */
const LATEST_REPLAY_US = 10_000_000;

/** All links between endpoints, which have names. Each direction of a link has its own faults. */
export class SimNetwork<
  Name,
  Message,
  End extends Endpoint<Name, Message> = Endpoint<Name, Message>,
  Plan extends NetworkPlan = NetworkPlan,
> {
  plan: Plan;
  readonly clock: VirtualClock;
  readonly prng: Prng;
  readonly #marks: Marks<NetworkMark>;
  readonly #links = new Map<Name, Map<Name, Link>>();
  /** In the order of first use. */
  readonly #all: Link[] = [];
  readonly #endpoints = new Map<Name, End>();

  constructor(plan: Plan, clock: VirtualClock, prng: Prng, marks: Marks<NetworkMark>) {
    this.plan = plan;
    this.clock = clock;
    this.prng = prng;
    this.#marks = marks;
  }

  /** Attaches an endpoint. Messages go to the newest endpoint of a name. */
  attach(name: Name, endpoint: End): void {
    this.#endpoints.get(name)?.broken('its process restarted');
    this.#endpoints.set(name, endpoint);
  }

  /** Detaches a dead process: its connections break, and peers notice some time later. */
  detach(name: Name, endpoint: End): void {
    if (this.#endpoints.get(name) === endpoint) this.#endpoints.delete(name);
    endpoint.broken('its process is gone');
  }

  endpoint(name: Name): End | undefined {
    return this.#endpoints.get(name);
  }

  // --- Faults

  cut(from: Name, to: Name): void {
    this.#link(from, to).cut = true;
  }

  mend(from: Name, to: Name): void {
    this.#link(from, to).cut = false;
  }

  clog(from: Name, to: Name, untilUs: number): void {
    this.#link(from, to).cloggedUntilUs = untilUs;
  }

  /** Holds messages back, in order, until they are released. Streams continue. */
  hold(from: Name, to: Name): void {
    this.#link(from, to).held ??= [];
  }

  /** Releases the first `count` held messages. If that is all of them, later messages pass too. */
  release(from: Name, to: Name, count = Number.POSITIVE_INFINITY): void {
    const link = this.#link(from, to);
    for (const send of link.held?.splice(0, count) ?? []) send();
    if (count === Number.POSITIVE_INFINITY) link.held = undefined;
  }

  mendAll(): void {
    for (const link of this.#all) {
      link.cut = false;
      link.cloggedUntilUs = 0;
      for (const send of link.held ?? []) send();
      link.held = undefined;
    }
  }

  isCut(from: Name, to: Name): boolean {
    return this.#link(from, to).cut;
  }

  // --- Messages

  /**
   * @param lost called when the sender learns, perhaps too early and wrongly, that the message did
   * not arrive
   */
  send(from: Name, to: Name, message: Message, lost: () => void): void {
    const { prng, plan, clock } = this;
    if (prng.chance(plan.replay)) {
      clock.after(prng.below(LATEST_REPLAY_US), () => {
        if (this.#deliver(from, to, message)) this.#marks.mark('message replayed');
      });
    }
    if (this.isCut(from, to) || prng.chance(plan.loss)) {
      this.#marks.mark('message lost');
      if (prng.chance(plan.notice)) lost();
      return;
    }
    const copies = prng.chance(plan.duplicate) ? 2 : 1;
    if (copies > 1) this.#marks.mark('message duplicated');
    const send = () => {
      clock.after(this.arrivalDelayUs(from, to), () => {
        if (!this.#deliver(from, to, message) && prng.chance(plan.notice)) lost();
      });
    };
    const { held } = this.#link(from, to);
    for (let copy = 0; copy < copies; copy++) {
      if (held === undefined) send();
      else held.push(send);
    }
  }

  /** How long something sent now takes to arrive, microseconds. */
  arrivalDelayUs(from: Name, to: Name): number {
    const { nowUs } = this.clock;
    const link = this.#link(from, to);
    let atUs = nowUs + 1 + this.prng.delay(this.plan.delayUs);
    if (link.cloggedUntilUs > atUs) atUs = link.cloggedUntilUs + this.prng.below(1000);
    if (this.prng.chance(this.plan.reorder)) {
      if (atUs < link.lastArrivalUs) this.#marks.mark('message reordered');
    } else {
      atUs = Math.max(atUs, link.lastArrivalUs);
      link.lastArrivalUs = atUs;
    }
    return atUs - nowUs;
  }

  /** @returns whether the message arrived */
  #deliver(from: Name, to: Name, message: Message): boolean {
    const receiver = this.isCut(from, to) ? undefined : this.#endpoints.get(to);
    receiver?.take(from, message);
    return receiver !== undefined;
  }

  // --- Streams

  /**
   * Makes the wire of one stream. The next frame on a cut link breaks it.
   * @param ends the processes at its ends; the far one is missing until it has accepted
   * @param broke called when a frame breaks it
   */
  wire(ends: ReadonlyMap<Name, SimProcess>, broke: () => void = () => undefined): StreamWire<Name> {
    const { clock, prng } = this;
    return {
      breaks: (_frame, from, to) => {
        const breaks = this.isCut(from, to) || prng.chance(this.plan.chunkLoss);
        if (breaks) broke();
        return breaks;
      },
      carry: (from, to, arrived) => {
        clock.after(this.arrivalDelayUs(from, to), () => ends.get(to)?.enter(arrived));
      },
      notice: (at, _of, noticed) => {
        const withinUs = prng.pick([RESET_US, NOTICE_US]);
        clock.after(prng.below(withinUs), () => ends.get(at)?.enter(noticed));
      },
      keepsFlight: () => prng.below(2) === 0,
    };
  }

  #link(from: Name, to: Name): Link {
    let links = this.#links.get(from);
    if (links === undefined) {
      links = new Map();
      this.#links.set(from, links);
    }
    let link = links.get(to);
    if (link === undefined) {
      link = { cut: false, cloggedUntilUs: 0, lastArrivalUs: 0, held: undefined };
      links.set(to, link);
      this.#all.push(link);
    }
    return link;
  }
}
