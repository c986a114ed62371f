import type { MemberId, MemberInfo } from '../core/types.js';
import type { Transport } from '../transport/transport.js';
import type { Membership } from './membership.js';

/** Tells the transport whom to reach: the members, seeds, and for a while those that were removed. */
export class Peers {
  private readonly id: MemberId;
  private readonly seeds: readonly MemberInfo[];
  private readonly membership: Membership;
  private readonly transport: Transport;
  private readonly lingerTicks: number;
  private peers: readonly MemberInfo[] = [];
  /** Peers to forget at a tick: who was removed should still hear of it. */
  private forgetTick = Number.MAX_SAFE_INTEGER;

  /** @param lingerTicks for so long a removed member is still reached */
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

  /** Only those of now. */
  reset(): void {
    this.forgetTick = Number.MAX_SAFE_INTEGER;
    this.set([]);
  }

  /** The membership changed; who left is reached a while longer. */
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
    // A member that joins goes through the memberships of the past, in which those who lead it now
    // may be missing: only who was removed is forgotten.
    const seeds = this.seeds.filter(({ id }) => !removed.includes(id));
    for (const info of [...leaving, ...seeds, ...members]) peers.set(info.id, info);
    peers.delete(this.id);
    this.peers = [...peers.values()];
    this.transport.setMembers(this.peers);
  }
}
