import type { MemberId, MemberInfo } from '../core/types.js';
import type { Transport } from '../transport/transport.js';
import type { Membership } from './membership.js';

/** Tells the transport which peers to reach: members, seeds, and for a while removed members. */
export class Peers {
  private readonly id: MemberId;
  private readonly seeds: readonly MemberInfo[];
  private readonly membership: Membership;
  private readonly transport: Transport;
  private readonly lingerTicks: number;
  private peers: readonly MemberInfo[] = [];
  /** Tick at which to forget removed peers: a removed member should still hear of its removal. */
  private forgetTick = Number.MAX_SAFE_INTEGER;

  /** @param lingerTicks how long a removed member is still reached */
  constructor(
    id: MemberId,
    seeds: readonly MemberInfo[],
    membership: Membership,
    transport: Transport,
    lingerTicks: number,
  ) {
    this.id = id;
    this.seeds = seeds;
    this.membership = membership;
    this.transport = transport;
    this.lingerTicks = lingerTicks;
  }

  /** Keeps only the current peers. */
  reset(): void {
    this.forgetTick = Number.MAX_SAFE_INTEGER;
    this.set([]);
  }

  /** Handles a change of membership. Members that left stay reachable for a while. */
  changed(tick: number): void {
    if (this.peers.length > 0) this.forgetTick = tick + this.lingerTicks;
    this.set(this.peers);
  }

  tick(tick: number): void {
    if (tick >= this.forgetTick) this.reset();
  }

  private set(leaving: readonly MemberInfo[]): void {
    const peers = new Map<MemberId, MemberInfo>();
    const { members, removed } = this.membership.current;
    // A joining member goes through past memberships, which may lack its present leaders: forget
    // only removed members.
    const seeds = this.seeds.filter(({ id }) => !removed.includes(id));
    for (const info of [...leaving, ...seeds, ...members]) peers.set(info.id, info);
    peers.delete(this.id);
    this.peers = [...peers.values()];
    this.transport.setMembers(this.peers);
  }
}
