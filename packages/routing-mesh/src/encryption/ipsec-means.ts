import { type Clock, type IpAddress, isIpv6, type Logger } from '@swarm/api';
import type { Kernel } from '../kernel/kernel.js';
import { ENOENT, ESRCH, NetlinkError, type NetlinkSocket } from '../kernel/netlink.js';
import { IPSEC_DEVICE, IPSEC_INTERFACE_ID } from '../layout.js';
import { NLM_F_DUMP } from '../netlink/message.js';
import {
  type AssociationId,
  deleteAssociation,
  deletePolicy,
  newAssociation,
  type PolicyId,
  putPolicy,
  readAssociation,
  readPolicy,
  XFRM,
} from '../netlink/xfrm.js';
import type { EncryptedPeer, EncryptedSelf, EncryptionMeans } from './encryption-means.js';
import { IpsecDevice } from './ipsec-device.js';
import { ipsecProblem } from './ipsec-probe.js';
import { agree, directionKey, type TunnelKeyPair } from './keys.js';

/** How long packets with the key of before are taken: until all nodes must have heard of the new one. */
const OLD_KEY_MS = 60_000;
const DIRECTIONS = ['out', 'forward'] as const;
/** Of a node: one that announces others all the time costs no more. */
const OLD_KEYS_LIMIT = 2;
/** After that many pairs, the node begins another epoch instead of remembering more. */
const USED_LIMIT = 100_000;

/** What the kernel has of a pair of nodes. */
interface Pair {
  /** Keys, epochs and addresses of both. */
  readonly name: string;
  readonly to: IpAddress;
  readonly inwards: AssociationId;
  readonly outwards: AssociationId;
}

/** With a key that takes packets for a while longer. */
interface OldAssociation {
  readonly id: AssociationId;
  /** Undefined when an earlier process made it. */
  readonly nodeId: string | undefined;
  /** When it can go. */
  readonly fromMs: number;
}

/**
 * IPsec: ESP tunnels between pairs of nodes (RFC 4303), with AES-GCM, whose keys both ends compute. An XFRM interface
 * ties policies to a device: for each address one that lets its packets leave only in the tunnel to its node, and one
 * that lets them in only out of that.
 */
export class IpsecMeans implements EncryptionMeans {
  readonly name = 'ipsec';
  readonly device = IPSEC_DEVICE;
  readonly #kernel: Kernel;
  readonly #device: IpsecDevice;
  readonly #logger: Logger;
  readonly #clock: Clock;
  #netlink: NetlinkSocket | undefined;
  #own: EncryptedSelf | undefined;
  readonly #pairs = new Map<string, Pair>();
  /** Node by address. */
  readonly #policies = new Map<IpAddress, string>();
  /** Keys and epochs of all pairs of this epoch that ever were: a key must not be used again from its start. */
  readonly #used = new Set<string>();
  /** Of earlier keys. */
  #old: OldAssociation[] = [];
  /** Of an earlier process. */
  #left: PolicyId[] = [];
  #needsEpoch = false;
  /** Associations of an earlier process, whose epoch this one continues; undefined in an epoch of its own. */
  #earlier: ReadonlySet<string> | undefined;

  constructor(options: { kernel: Kernel; logger: Logger; clock: Clock }) {
    this.#kernel = options.kernel;
    this.#device = new IpsecDevice(options.kernel);
    this.#logger = options.logger;
    this.#clock = options.clock;
  }

  probe(): Promise<string | undefined> {
    return ipsecProblem(this.#kernel);
  }

  get needsEpoch(): boolean {
    return this.#needsEpoch;
  }

  earlierEpoch(keys: TunnelKeyPair): Promise<string | undefined> {
    return this.#device.epochOf(keys);
  }

  /**
   * The device says which epoch it is. With the same one, and the same key, the associations that the kernel has are
   * those that are wanted: a daemon that restarts changes nothing between the nodes, and needs nobody to know of it.
   */
  async start(own: EncryptedSelf): Promise<void> {
    const isFirst = this.#own === undefined;
    // No name of an earlier epoch comes again: its own is part of it.
    if (this.#own?.epoch !== own.epoch) {
      this.#used.clear();
      this.#earlier = undefined;
    }
    this.#netlink ??= await this.#kernel.openNetlink('xfrm');
    const isContinued = isFirst && (await this.earlierEpoch(own.keys)) === own.epoch;
    await this.#device.raise(own);
    this.#own = own;
    this.#needsEpoch = false;
    if (!isFirst) return;
    this.#takeOver();
    if (isContinued) this.#earlier = new Set(this.#old.map(({ id }) => nameOf(id)));
  }

  async hold(
    peers: ReadonlyMap<string, EncryptedPeer>,
    known: ReadonlySet<string>,
  ): Promise<ReadonlyMap<string, string>> {
    const problems = new Map<string, string>();
    for (const [nodeId, peer] of peers) {
      try {
        this.#pairUp(nodeId, peer);
      } catch (error) {
        problems.set(nodeId, (error as Error).message);
      }
    }
    const wanted = new Map<IpAddress, string>();
    for (const [nodeId, { addresses }] of peers) {
      if (!this.#pairs.has(nodeId)) continue;
      for (const address of addresses) wanted.set(address, nodeId);
    }
    for (const [address, nodeId] of wanted) {
      if (this.#policies.get(address) !== nodeId) this.#putPolicies(address, nodeId);
    }
    for (const address of this.#policies.keys()) {
      if (!wanted.has(address)) this.#deletePolicies(address);
    }
    for (const id of this.#left.splice(0)) {
      if (!this.#policies.has(id.address)) this.#delete(XFRM.deletePolicy, deletePolicy(id));
    }
    for (const [nodeId, pair] of this.#pairs) {
      if (known.has(nodeId)) continue;
      this.#pairs.delete(nodeId);
      this.#deleteAssociations([pair.inwards, pair.outwards]);
    }
    this.#forgetOld((one) => one.nodeId !== undefined && !known.has(one.nodeId));
    return problems;
  }

  async check(): Promise<'whole' | 'damaged' | 'gone'> {
    if (this.#own === undefined) return 'whole';
    this.#forgetOld();
    if (this.#needsEpoch) return 'gone';
    const associations = new Set(this.#listAssociations().map(nameOf));
    const lost = [...this.#pairs].filter(
      ([, { inwards, outwards }]) =>
        !associations.has(nameOf(inwards)) || !associations.has(nameOf(outwards)),
    );
    const isDeviceThere = await this.#device.isThere();
    const policies = this.#listPolicies().length;
    const isWhole = policies >= this.#policies.size * DIRECTIONS.length && isDeviceThere;
    if (lost.length === 0 && isWhole) return 'whole';
    this.#logger.warn(
      { device: this.device },
      'somebody changed the encrypted tunnel; restoring it',
    );
    for (const address of this.#policies.keys()) this.#deletePolicies(address);
    if (!isDeviceThere) await this.start(this.#own);
    if (lost.length === 0) return 'damaged';
    for (const [nodeId, { inwards, outwards }] of lost) {
      this.#pairs.delete(nodeId);
      this.#deleteAssociations([inwards, outwards]);
    }
    return 'gone';
  }

  async close(): Promise<void> {
    if (this.#own === undefined || this.#netlink === undefined) return;
    for (const id of this.#listPolicies()) this.#delete(XFRM.deletePolicy, deletePolicy(id));
    this.#deleteAssociations(this.#listAssociations());
    this.#netlink.close();
    this.#netlink = undefined;
    this.#own = undefined;
    this.#pairs.clear();
    this.#policies.clear();
    this.#old = [];
    this.#left = [];
    await this.#device.remove();
  }

  /** Gives the pair its keys, if one of its ends changed. What the other still sends with those of before is taken. */
  #pairUp(nodeId: string, { peer, publicKey, epoch }: EncryptedPeer): void {
    const { self, keys, epoch: ownEpoch } = this.#own!;
    const agreed = [keys.publicKey, ownEpoch, publicKey, epoch].join(' ');
    const name = [agreed, self.address, peer.address].join(' ');
    const before = this.#pairs.get(nodeId);
    if (before?.name === name) return;
    if (isIpv6(self.address) !== isIpv6(peer.address)) {
      throw new Error('its address is not of the same family as that of this node');
    }
    const secret = agree(keys, publicKey);
    const own = { publicKey: keys.publicKey, epoch: ownEpoch };
    const other = { publicKey, epoch };
    const inwards = { ...directionKey(secret, other, own), from: peer.address, to: self.address };
    const outwards = { ...directionKey(secret, own, other), from: self.address, to: peer.address };
    const isThere = [inwards, outwards].every((one) => this.#earlier?.has(nameOf(one)) === true);
    // Which keys an earlier process had besides those that the kernel shows, nobody knows. A pair that goes on was its
    // last with that node, so what follows is new.
    const isUnknown = this.#earlier !== undefined && before === undefined;
    const mayBeUsed = this.#used.has(agreed) || isUnknown;
    if (!isThere && (mayBeUsed || this.#used.size >= USED_LIMIT)) {
      this.#needsEpoch = true;
      throw new Error('it needs new keys, which this node is about to announce');
    }
    this.#used.add(agreed);
    if (isThere) this.#continue([inwards, outwards]);
    else {
      for (const one of [inwards, outwards]) {
        const payload = newAssociation({ ...one, interfaceId: IPSEC_INTERFACE_ID });
        this.#netlink!.request({ type: XFRM.newAssociation, payload });
      }
    }
    this.#pairs.set(nodeId, { name, to: peer.address, inwards, outwards });
    if (before === undefined) return;
    this.#deleteAssociations([before.outwards]);
    const fromMs = this.#clock.monotonicMs() + OLD_KEY_MS;
    this.#old.push({ id: before.inwards, nodeId, fromMs });
    const [tooOld] = this.#old.filter((one) => one.nodeId === nodeId).slice(0, -OLD_KEYS_LIMIT);
    if (tooOld !== undefined) this.#forgetOld((one) => one === tooOld);
    if (before.to === peer.address) return;
    // Policies name the address of the node.
    for (const [address, owner] of this.#policies)
      if (owner === nodeId) this.#policies.delete(address);
  }

  /** Keeps associations of an earlier process. Each serves once: what comes later with its name is a new one. */
  #continue(ids: readonly AssociationId[]): void {
    const names = new Set(ids.map(nameOf));
    this.#old = this.#old.filter(({ id }) => !names.has(nameOf(id)));
    this.#earlier = new Set([...(this.#earlier ?? [])].filter((name) => !names.has(name)));
  }

  #putPolicies(address: IpAddress, nodeId: string): void {
    const { self } = this.#own!;
    const { to } = this.#pairs.get(nodeId)!;
    const common = { address, interfaceId: IPSEC_INTERFACE_ID };
    const policies = [
      { ...common, direction: 'forward', from: to, to: self.address },
      { ...common, direction: 'out', from: self.address, to },
    ] as const;
    for (const policy of policies) {
      this.#netlink!.request({ type: XFRM.putPolicy, payload: putPolicy(policy) });
    }
    this.#policies.set(address, nodeId);
  }

  #deletePolicies(address: IpAddress): void {
    for (const direction of DIRECTIONS) {
      const id = { direction, address, interfaceId: IPSEC_INTERFACE_ID };
      this.#delete(XFRM.deletePolicy, deletePolicy(id));
    }
    this.#policies.delete(address);
  }

  /** @param isOver which ones can go before their time */
  #forgetOld(isOver: (one: OldAssociation) => boolean = () => false): void {
    const nowMs = this.#clock.monotonicMs();
    const gone = new Set(this.#old.filter((one) => one.fromMs <= nowMs || isOver(one)));
    this.#old = this.#old.filter((one) => !gone.has(one));
    this.#deleteAssociations([...gone].map(({ id }) => id));
  }

  /** Of an earlier process: its keys are taken for a while, its policies until the first state. */
  #takeOver(): void {
    const fromMs = this.#clock.monotonicMs() + OLD_KEY_MS;
    this.#old = this.#listAssociations().map((id) => ({ id, nodeId: undefined, fromMs }));
    this.#left = this.#listPolicies();
  }

  #deleteAssociations(ids: readonly AssociationId[]): void {
    for (const id of ids) this.#delete(XFRM.deleteAssociation, deleteAssociation(id));
  }

  /** What is already gone is as wanted. */
  #delete(type: number, payload: Buffer): void {
    try {
      this.#netlink!.request({ type, payload });
    } catch (error) {
      const isGone = error instanceof NetlinkError && [ESRCH, ENOENT].includes(error.errno);
      if (!isGone) throw error;
    }
  }

  #listAssociations(): AssociationId[] {
    return this.#list(XFRM.listAssociations).flatMap(
      (entry) => readAssociation(entry, IPSEC_INTERFACE_ID) ?? [],
    );
  }

  #listPolicies(): PolicyId[] {
    return this.#list(XFRM.listPolicies).flatMap(
      (entry) => readPolicy(entry, IPSEC_INTERFACE_ID) ?? [],
    );
  }

  #list(type: number): readonly Buffer[] {
    return this.#netlink!.request({ type, flags: NLM_F_DUMP, payload: Buffer.alloc(0) });
  }
}

function nameOf({ to, spi }: AssociationId): string {
  return `${to} ${spi}`;
}
