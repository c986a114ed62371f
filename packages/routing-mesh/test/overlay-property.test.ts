import { type IpAddress, silentLogger, Subnet } from '@swarm/api';
import test from 'ava';
import type {
  CheckedMember,
  CheckedOverlay,
  CheckedPeer,
  CheckedService,
  CheckedTask,
  StateChange,
} from '../src/checked.js';
import { DEFAULT_INGRESS } from '../src/ingress.js';
import { parseNetworkId, parseTaskId, type NetworkId, type TaskId } from '../src/layout.js';
import { noEncryption } from '../src/encryption/traffic-encryption.js';
import { SLOT_CLASSES } from '../src/balancer/nftables/slots.js';
import { NftablesOverlays } from '../src/overlay/nftables-overlays.js';
import type { NetworkTouches } from '../src/overlay/network-view.js';
import { ViewedNetworks, type ViewSource } from '../src/overlay/viewed-networks.js';
import { StateIndex } from '../src/state-index.js';
import { VipSection } from '../src/overlay/vip-section.js';
import { WallSection } from '../src/overlay/wall-section.js';
import { ElementChanges } from '../src/table/element-changes.js';
import { IPV4, IPV6 } from '../src/table/family.js';
import { ip, peer } from './support/checked.js';
import { fakeKernel } from './support/fake-kernel.js';
import { PaperRoutes } from './support/paper-routes.js';
import { PaperSets } from './support/paper-sets.js';

const SEEDS = 25;
const STEPS = 40;
const NODES = 4;
const FAMILIES = [IPV4, IPV6];

/** A small generator of repeatable chance (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

const overlay = (number: number): CheckedOverlay => ({
  networkId: parseNetworkId(`net${number}`)!,
  name: `net${number}`,
  subnets:
    number % 3 === 2
      ? [Subnet.of(`10.0.${number}.0/24`)]
      : [Subnet.of(`10.0.${number}.0/24`), Subnet.of(`fd00:${number}::/64`)],
  isInternal: number % 2 === 1,
  isEncrypted: false,
  mtuBytes: undefined,
});
const addressesOf = ({ subnets }: CheckedOverlay, number: number): readonly IpAddress[] =>
  subnets.map((subnet) => subnet.addressAt(number));

/** One node's overlay networks on paper, and the world that it is told of. */
class PaperNode {
  readonly pick: (below: number) => number;
  readonly sets = new Map(FAMILIES.map((family) => [family, new PaperSets()]));
  readonly routes = new PaperRoutes();
  readonly walls = new Map(FAMILIES.map((family) => [family, new WallSection(family)]));
  readonly vips = new Map(FAMILIES.map((family) => [family, new VipSection(family)]));
  readonly overlays: NftablesOverlays;
  readonly known = [1, 2, 3, 4].map(overlay);
  readonly peers = new Map<string, CheckedPeer>();
  readonly members = new Map<TaskId, CheckedMember>();
  readonly services = new Map<string, CheckedService>();
  readonly here = new Map<TaskId, readonly CheckedOverlay[]>();
  readonly #networks = new ViewedNetworks();
  readonly #index = new StateIndex();
  /** What it was told last. */
  #told: Told | undefined;
  /** Tasks that came or went since, with their networks. */
  readonly #moved = new Map<TaskId, readonly NetworkId[]>();
  #tasks = 0;

  constructor(seed: number) {
    this.pick = chance(seed);
    this.overlays = new NftablesOverlays({
      kernel: fakeKernel((program, args, input) => this.routes.run(program, args, input)),
      logger: silentLogger,
      walls: this.walls,
      vips: this.vips,
      encryption: noEncryption('it is a test'),
    });
    for (let index = 1; index <= NODES; index++) this.peers.set(`node${index}`, peer(index));
  }

  one<T>(from: Iterable<T>): T | undefined {
    const all = [...from];
    return all.length === 0 ? undefined : all[this.pick(all.length)];
  }

  #weight(): number {
    return [0, 1, 1, 25, 100][this.pick(5)]!;
  }

  /** Something happens in the cluster. */
  step(): void {
    const task = this.one(this.members.values());
    const service = `service${this.pick(4)}`;
    const own = this.known.filter(() => this.pick(2) === 0);
    const node = `node${1 + this.pick(NODES)}`;
    const before = this.peers.get(node);
    switch (this.pick(8)) {
      case 0:
      case 1:
      case 2: {
        const number = ++this.#tasks;
        const taskId = parseTaskId(`task${number}`)!;
        if (own.length === 0) return;
        this.members.set(taskId, {
          taskId,
          nodeId: `node${1 + this.pick(NODES)}`,
          serviceId: this.pick(5) === 0 ? '' : service,
          names: [],
          // Now and then an address that another task has.
          networks: new Map(
            own.map((one) => [
              one.networkId,
              addressesOf(one, 20 + (number % (this.pick(9) === 0 ? 7 : 200))),
            ]),
          ),
          serves: this.pick(3) > 0,
          weight: this.#weight(),
        });
        return;
      }
      case 3:
        if (task !== undefined) this.members.delete(task.taskId);
        return;
      case 4:
      case 5:
        if (task === undefined) return;
        if (this.pick(3) === 0) this.members.set(task.taskId, { ...task, weight: this.#weight() });
        else this.members.set(task.taskId, { ...task, serves: !task.serves });
        return;
      case 6:
        if (this.services.delete(service)) return;
        this.services.set(service, {
          serviceId: service,
          name: service,
          allow: undefined,
          networks: new Map(
            own.map((one): [NetworkId, { aliases: string[]; vips: readonly IpAddress[] }] => [
              one.networkId,
              { aliases: [], vips: addressesOf(one, 2 + this.pick(3)) },
            ]),
          ),
        });
        return;
      default:
        if (node === 'node1') return;
        if (before === undefined) this.peers.set(node, peer(Number(node.slice(4))));
        else if (this.pick(2) === 0) this.peers.delete(node);
        else this.peers.set(node, { ...before, down: !before.down });
    }
  }

  /** Tasks of this node are attached and detached as the members say, with delay. */
  async follow(): Promise<void> {
    for (const taskId of [...this.here.keys()]) {
      if (this.members.has(taskId) || this.pick(2) === 0) continue;
      await this.leave(taskId);
    }
    for (const { taskId, nodeId, networks } of this.members.values()) {
      if (nodeId !== 'node1' || this.here.has(taskId) || this.pick(2) === 0) continue;
      const own = this.known.filter(({ networkId }) => networks.has(networkId));
      const attachments = own.map((one) => {
        const [first, ...more] = networks.get(one.networkId)!;
        return { networkId: one.networkId, overlay: one, addresses: [first!, ...more] as const };
      });
      try {
        await this.join(taskId, own, attachments);
      } catch {
        // Another task of this node has its address.
      }
    }
  }

  async join(
    taskId: TaskId,
    own: readonly CheckedOverlay[],
    attachments: CheckedTask['attachments'],
  ): Promise<void> {
    await this.overlays.attach({ taskId, attachments });
    this.here.set(taskId, own);
    this.#moved.set(
      taskId,
      own.map(({ networkId }) => networkId),
    );
  }

  async leave(taskId: TaskId): Promise<void> {
    const networks = this.here.get(taskId)!.map(({ networkId }) => networkId);
    this.here.delete(taskId);
    await this.overlays.detach([taskId]);
    this.#moved.set(taskId, networks);
  }

  /** As the mesh does: a whole state first and when nodes changed, else what changed. @returns faults */
  async hold(): Promise<string[]> {
    const overlays = new Map([...this.here.values()].flat().map((one) => [one.networkId, one]));
    const told = this.#told;
    const now = {
      peers: new Map(this.peers),
      members: new Map(this.members),
      services: new Map(this.services),
    };
    this.#told = now;
    if (told === undefined || !isSame(told.peers, now.peers)) {
      this.#index.replace({ ...now, ports: new Map() });
      this.#networks.replace(overlays.values(), this.#source(now));
      this.#moved.clear();
      return this.#apply(undefined);
    }
    const overlayOf = (networkId: NetworkId) => overlays.get(networkId);
    const moved = this.#networks.followTasks(overlayOf, this.#moved, this.#source(told));
    this.#moved.clear();
    const faults = await this.#apply(moved);
    const change: StateChange = {
      ports: new Map(),
      members: differing(told.members, now.members),
      services: differing(told.services, now.services),
    };
    this.#index.change({ ...now, ports: new Map() }, change);
    return [...faults, ...(await this.#apply(this.#networks.change(change, this.#source(now))))];
  }

  #source(state: Told): ViewSource {
    return { state, index: this.#index, peers: state.peers, unreached: new Set() };
  }

  /** Checks the order of routes and rules by the way. */
  async #apply(touched: NetworkTouches): Promise<string[]> {
    const faults: string[] = [];
    const before = this.targets();
    await this.overlays.apply({
      peers: this.#told!.peers,
      networks: this.#networks.views,
      touched,
    });
    for (const address of before) {
      if (!this.isReachable(address)) faults.push(`${address} lost its route while in use`);
    }
    for (const family of FAMILIES) {
      const changes = new ElementChanges(family.name);
      this.walls.get(family)!.takeChanges(changes);
      this.vips.get(family)!.takeChanges(changes);
      faults.push(...this.sets.get(family)!.write(changes.text()));
    }
    for (const address of this.targets()) {
      if (!this.isReachable(address)) faults.push(`${address} is used without a route`);
    }
    await this.overlays.settle({ isUnsure: false });
    return faults;
  }

  /** Addresses that virtual ones lead to. */
  targets(): Set<string> {
    return new Set(
      FAMILIES.flatMap((family) => [...this.sets.get(family)!.get('vip_members').values()]),
    );
  }

  isReachable(address: string): boolean {
    const isHere = FAMILIES.some((family) => this.sets.get(family)!.get('here').has(address));
    return (
      isHere ||
      this.routes.held.has(address) ||
      [...this.here.keys()].some((taskId) => this.#has(taskId, address))
    );
  }

  #has(taskId: TaskId, address: string): boolean {
    const networks = this.members.get(taskId)?.networks ?? new Map();
    return [...networks.values()].flat().includes(ip(address));
  }
}

interface Told {
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  readonly members: ReadonlyMap<TaskId, CheckedMember>;
  readonly services: ReadonlyMap<string, CheckedService>;
}

/** By key, what was there before, where it is another object now. */
function differing<K, V>(
  before: ReadonlyMap<K, V>,
  after: ReadonlyMap<K, V>,
): ReadonlyMap<K, V | undefined> {
  const found = new Map<K, V | undefined>();
  for (const key of [...before.keys(), ...after.keys()])
    if (before.get(key) !== after.get(key)) found.set(key, before.get(key));
  return found;
}

function isSame<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  return differing(a, b).size === 0;
}

/** What the kernel holds, with each number and id replaced by what it stands for. */
function meaning(world: PaperNode) {
  return FAMILIES.map((family) => {
    const sets = world.sets.get(family)!;
    const subnets = new Map([...sets.get('networks')].map(([subnet, number]) => [number, subnet]));
    const named = (set: string) =>
      [...sets.get(set).keys()]
        .map((key) => key.replace(/ \. (\d+)$/, (_, n) => ` . ${subnets.get(n) ?? '-'}`))
        .sort();
    const members = sets.get('vip_members');
    const vips = new Map<string, Map<string, number>>();
    for (const kind of SLOT_CLASSES.map((each) => `vip_${each}`)) {
      for (const vip of sets.get(kind).keys()) vips.set(vip, new Map());
    }
    for (const [slot, id] of sets.get('vip_slots')) {
      const shares = vips.get(slot.split(' . ')[0]!)!;
      const address = members.get(id)!;
      shares.set(address, (shares.get(address) ?? 0) + 1);
    }
    return {
      networks: [...sets.get('networks').keys()].sort(),
      here: [...sets.get('here').keys()].sort(),
      own: named('own'),
      joined: named('joined'),
      walled: named('walled'),
      internal: named('internal'),
      senders: named('senders'),
      selves: named('selves'),
      closed: named('vip_closed'),
      members: members.size,
      multi: [...sets.get('vip_multi').keys()].map((id) => members.get(id)).sort(),
      vips: [...vips].map(([vip, shares]) => [vip, [...shares.keys()].sort()]).sort(),
      spread: [...vips.values()].every((shares) => {
        const counts = [...shares.values()];
        return Math.max(...counts) - Math.min(...counts) <= 1;
      }),
    };
  });
}

test('whatever came before, a node holds what one that just started would', async (t) => {
  let compared = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new PaperNode(seed);
    await world.overlays.start(peer(1), DEFAULT_INGRESS);
    for (let step = 0; step < STEPS; step++) {
      world.step();
      await world.follow();
      t.deepEqual(await world.hold(), [], `seed ${seed}, step ${step}`);
      // Claims of one address by several: who came first keeps it, which a fresh node cannot know.
      if (hasContest(world)) continue;
      const fresh = new PaperNode(seed);
      await fresh.overlays.start(peer(1), DEFAULT_INGRESS);
      for (const [taskId, own] of world.here) {
        const networks = attachedNetworks(world, taskId, own);
        if (networks === undefined) continue;
        await fresh.join(taskId, own, networks);
      }
      if (fresh.here.size !== world.here.size) continue;
      for (const [id, one] of world.members) fresh.members.set(id, one);
      for (const [id, one] of world.services) fresh.services.set(id, one);
      fresh.peers.clear();
      for (const [id, one] of world.peers) fresh.peers.set(id, one);
      t.deepEqual(await fresh.hold(), []);
      compared += 1;
      t.deepEqual(meaning(world), meaning(fresh), `seed ${seed}, step ${step}`);
      t.deepEqual([...world.routes.held].sort(), [...fresh.routes.held].sort());
      t.deepEqual([...world.routes.caught].sort(), [...fresh.routes.caught].sort());
      t.is(world.routes.rules.size, fresh.routes.rules.size);
    }
    world.members.clear();
    world.services.clear();
    for (const taskId of world.here.keys()) await world.leave(taskId);
    await world.hold();
    for (const sets of world.sets.values()) t.is(sets.size, 0, `seed ${seed}`);
    t.is(world.routes.held.size + world.routes.caught.size + world.routes.rules.size, 0);
    t.deepEqual(world.routes.faults, [], `seed ${seed}`);
  }
  t.true(compared > (SEEDS * STEPS) / 4, `${compared} comparisons`);
});

function attachedNetworks(world: PaperNode, taskId: TaskId, own: readonly CheckedOverlay[]) {
  const member = world.members.get(taskId);
  if (member === undefined) return undefined;
  return own.map((one) => {
    const [first, ...more] = member.networks.get(one.networkId)!;
    return { networkId: one.networkId, overlay: one, addresses: [first!, ...more] as const };
  });
}

function hasContest({ members, services }: PaperNode): boolean {
  const all = [...members.values()].flatMap(({ networks }) => [...networks.values()].flat());
  const vips = [...services.values()].flatMap(({ networks }) =>
    [...networks.values()].flatMap((one) => one.vips),
  );
  return new Set(all).size < all.length || new Set(vips).size < vips.length;
}
