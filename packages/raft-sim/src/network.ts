import type { MemberId, Message, TransportLimits } from '@swarm/raft';
import {
  type Coverage,
  type NetworkPlan,
  type Prng,
  SimNetwork,
  type SimProcess,
  type StreamWire,
  type VirtualClock,
} from '@swarm/sim';
import type { Mark } from './marks.js';
import type { SimTransport } from './transport.js';

/** How bad the network between members is. */
export interface RaftNetworkPlan extends NetworkPlan {
  /** Sizes and times of snapshots' connections. */
  readonly transfer: Partial<TransportLimits>;
  /** Whether to encode and decode messages. */
  readonly encode: boolean;
}

/** Receives every message, for invariants, traces and the digest. */
export interface NetworkObserver {
  sent(message: Message): void;
  arrived(message: Message): void;
}

/** The network between members; its streams carry snapshots. */
export class RaftNetwork extends SimNetwork<MemberId, Message, SimTransport, RaftNetworkPlan> {
  readonly observer: NetworkObserver;
  readonly coverage: Coverage<Mark>;

  constructor(
    plan: RaftNetworkPlan,
    clock: VirtualClock,
    prng: Prng,
    observer: NetworkObserver,
    coverage: Coverage<Mark>,
  ) {
    super(plan, clock, prng, coverage);
    this.observer = observer;
    this.coverage = coverage;
  }

  override wire(ends: ReadonlyMap<MemberId, SimProcess>): StreamWire<MemberId> {
    return super.wire(ends, () => this.coverage.mark('snapshot broken off'));
  }
}
