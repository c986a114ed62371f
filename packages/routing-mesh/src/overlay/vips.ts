import assert from 'node:assert/strict';
import type { IpAddress } from '@swarm/api';
import type { CheckedMember } from '../checked.js';
import { MAX_ENDPOINTS_PER_PORT, shareSlots } from '../balancer/nftables/slots.js';
import { FIRST_MEMBER_ID, LAST_MEMBER_ID, type NetworkId, type TaskId } from '../layout.js';
import { familyOf } from '../table/family.js';
import { isIn, type LocalNetwork, type LocalNetworks } from './local-networks.js';
import type { Entry } from './member-index.js';
import { type NetworkTouches, type NetworkViews, touchedKeys } from './network-view.js';

/** A task behind a virtual address. */
export interface VipMember {
  /** What this node calls it behind this address. */
  readonly id: number;
  readonly nodeId: string;
  readonly weight: number;
}

/** A virtual address of a service, with its slots assigned. */
export interface Vip {
  readonly address: IpAddress;
  /** By the task's address. */
  readonly members: ReadonlyMap<IpAddress, VipMember>;
  /** Owner of each slot; its length is 0 or one of `SLOT_COUNTS`. */
  readonly slots: readonly number[];
}

export interface VipChange {
  readonly before: Vip | undefined;
  readonly after: Vip | undefined;
}

/** A service on one network. */
interface Service {
  readonly networkId: NetworkId;
  readonly serviceId: string;
  addresses: readonly IpAddress[];
  network: LocalNetwork | undefined;
  /** Those that serve. */
  readonly members: Map<TaskId, Entry>;
}

/** Which tasks are behind which virtual address. Computes again only what changed. */
export class Vips {
  readonly #local: LocalNetworks;
  readonly #services = new Map<string, Service>();
  readonly #dirty = new Set<string>();
  readonly #vips = new Map<IpAddress, { readonly vip: Vip; readonly service: string }>();
  /** Addresses that each service wanted when it was last looked at. */
  readonly #owned = new Map<string, ReadonlySet<IpAddress>>();
  readonly #ids = new Set<number>();
  #nextId = FIRST_MEMBER_ID;
  /** Ids of services by network, those with tasks alone included. */
  readonly #known = new Map<NetworkId, Set<string>>();
  /** Of more members than slots, each node uses others. */
  selfIndex = 0;

  constructor(local: LocalNetworks) {
    this.#local = local;
  }

  /** Whether a translation from the virtual address to the task's exists. */
  leads(address: IpAddress, member: IpAddress): boolean {
    return this.#vips.get(address)?.vip.members.has(member) === true;
  }

  /** Takes a change of a task in. */
  changeMember(before: Entry | undefined, after: Entry | undefined): void {
    if (before !== undefined && serves(before))
      this.#service(before)?.members.delete(taskOf(before));
    if (after !== undefined && serves(after))
      this.#service(after)?.members.set(taskOf(after), after);
  }

  /** Takes the networks' services in. @returns addresses that go, then those that come or change */
  follow(views: NetworkViews, touched: NetworkTouches): readonly VipChange[] {
    for (const networkId of touchedKeys(
      touched && new Set(touched.keys()),
      this.#known.keys(),
      views.keys(),
    )) {
      const touch = touched?.get(networkId);
      const named = touch === undefined || touch === 'all' ? undefined : touch.services;
      const services = views.get(networkId)?.services;
      const known = this.#known.get(networkId) ?? [];
      for (const serviceId of touchedKeys(named, known, services?.keys() ?? []))
        this.#follow(networkId, serviceId, services?.get(serviceId)?.vips);
    }
    return this.#renew();
  }

  /** @param vips undefined when the network has no such service */
  #follow(networkId: NetworkId, serviceId: string, vips: readonly IpAddress[] | undefined): void {
    const key = keyOf(networkId, serviceId);
    const service = this.#services.get(key);
    if (vips !== undefined) {
      const network = this.#local.get(networkId);
      const followed = service ?? this.#add(networkId, serviceId);
      if (followed.addresses === vips && followed.network === network) return;
      followed.addresses = vips;
      followed.network = network;
      this.#dirty.add(key);
    } else if (service !== undefined) {
      if (service.addresses.length > 0) this.#dirty.add(key);
      service.addresses = [];
      if (service.members.size === 0 && !this.#dirty.has(key)) this.#forget(service);
    }
  }

  #renew(): readonly VipChange[] {
    const gone: VipChange[] = [];
    const come: VipChange[] = [];
    const dirty = [...this.#dirty].map((key) => ({ key, service: this.#services.get(key)! }));
    this.#dirty.clear();
    const wanted = new Map<string, Set<IpAddress>>();
    for (const { key, service } of dirty) wanted.set(key, new Set(this.#addressesOf(service)));
    for (const [address, { vip, service }] of this.#ownedBy(wanted)) {
      if (wanted.get(service)!.has(address)) continue;
      this.#vips.delete(address);
      for (const { id } of vip.members.values()) this.#ids.delete(id);
      gone.push({ before: vip, after: undefined });
    }
    for (const { key, service } of dirty) {
      for (const address of wanted.get(key)!) {
        const known = this.#vips.get(address);
        if (known !== undefined && known.service !== key) {
          // Two services with one address: the second gets it when the first has gone.
          this.#dirty.add(key);
          continue;
        }
        const vip = this.#vip(address, service, known?.vip);
        if (vip === known?.vip) continue;
        this.#vips.set(address, { vip, service: key });
        come.push({ before: known?.vip, after: vip });
      }
      this.#owned.set(key, wanted.get(key)!);
      if (service.members.size === 0 && service.addresses.length === 0) {
        this.#forget(service);
        this.#owned.delete(key);
      }
    }
    return [...gone, ...come];
  }

  *#ownedBy(
    keys: ReadonlyMap<string, unknown>,
  ): Generator<[IpAddress, { readonly vip: Vip; readonly service: string }]> {
    for (const key of keys.keys()) {
      for (const address of this.#owned.get(key) ?? []) {
        const known = this.#vips.get(address);
        if (known?.service === key) yield [address, known];
      }
    }
  }

  #vip(address: IpAddress, service: Service, before: Vip | undefined): Vip {
    const family = familyOf(address);
    const wanted = new Map<IpAddress, CheckedMember>();
    for (const { addresses, member } of this.#chosen(service)) {
      const own = addresses.find((one) => familyOf(one) === family);
      if (own !== undefined) wanted.set(own, member);
    }
    const members = new Map<IpAddress, VipMember>();
    let isSame = before !== undefined && before.members.size === wanted.size;
    for (const [own, { id }] of before?.members ?? []) {
      if (!wanted.has(own)) this.#ids.delete(id);
    }
    for (const [own, { nodeId, weight }] of wanted) {
      const known = before?.members.get(own);
      const isKnown = known?.nodeId === nodeId && known.weight === weight;
      if (!isKnown) isSame = false;
      members.set(own, isKnown ? known : { id: known?.id ?? this.#takeId(), nodeId, weight });
    }
    if (isSame) return before!;
    const shares = [...members.values()].sort((a, b) => a.id - b.id);
    return { address, members, slots: shareSlots(before?.slots ?? [], shares) };
  }

  #chosen({ members }: Service): readonly Entry[] {
    const all = [...members.values()];
    if (all.length <= MAX_ENDPOINTS_PER_PORT) return all;
    const start = (this.selfIndex * MAX_ENDPOINTS_PER_PORT) % all.length;
    return [...all.slice(start), ...all.slice(0, start)].slice(0, MAX_ENDPOINTS_PER_PORT);
  }

  #addressesOf({ addresses, network }: Service): readonly IpAddress[] {
    const subnets = network?.overlay.subnets ?? [];
    return addresses.filter((one) => subnets.some((subnet) => isIn(subnet, one)));
  }

  /** The service of a task, which has to be looked at again. */
  #service({ network, member }: Entry): Service | undefined {
    if (member.serviceId === '') return undefined;
    const key = keyOf(network.overlay.networkId, member.serviceId);
    this.#dirty.add(key);
    return this.#services.get(key) ?? this.#add(network.overlay.networkId, member.serviceId);
  }

  #add(networkId: NetworkId, serviceId: string): Service {
    const service: Service = {
      ...{ networkId, serviceId, addresses: [], network: undefined, members: new Map() },
    };
    this.#services.set(keyOf(networkId, serviceId), service);
    const known = this.#known.get(networkId) ?? new Set();
    this.#known.set(networkId, known.add(serviceId));
    return service;
  }

  #forget({ networkId, serviceId }: Service): void {
    this.#services.delete(keyOf(networkId, serviceId));
    const known = this.#known.get(networkId);
    known?.delete(serviceId);
    if (known?.size === 0) this.#known.delete(networkId);
  }

  /** Freed ids rest as long as possible, because connections still carry them. */
  #takeId(): number {
    assert(this.#ids.size <= LAST_MEMBER_ID - FIRST_MEMBER_ID, 'no id is free');
    while (this.#ids.has(this.#nextId)) this.#nextId = following(this.#nextId);
    const id = this.#nextId;
    this.#ids.add(id);
    this.#nextId = following(id);
    return id;
  }
}

/** Whether clients may be led to it. */
function serves({ member, peer, isHere }: Entry): boolean {
  return member.serves && (isHere || (peer !== undefined && !peer.down));
}

function taskOf({ member }: Entry): TaskId {
  return member.taskId;
}

function keyOf(networkId: string, serviceId: string): string {
  return `${networkId} ${serviceId}`;
}

function following(id: number): number {
  return id === LAST_MEMBER_ID ? FIRST_MEMBER_ID : id + 1;
}
