import { isPort, type Logger, portKey, showControls, type Subnet } from '@swarm/api';
import { BadPart, fieldsOf } from './bad-part.js';
import {
  type CheckedEndpoint,
  type CheckedMember,
  type CheckedPeer,
  type CheckedPort,
  type CheckedService,
  type CheckedState,
  isProtocol,
  readEndpoint,
  readMember,
  readPeer,
  readService,
} from './checked.js';
import { readPortOptions } from './port-options.js';

/** New faults of a state that are logged one by one. */
const FAULTS_LOGGED = 20;
/** Characters of a received name, which may be anything. */
const NAME_LIMIT = 64;

/** What was left out of a state, by name: `peer x`, `port tcp/80`. */
type Faults = Map<string, string>;

/** A port with everything else that its reading depended on. */
interface Read {
  readonly port: CheckedPort;
  readonly faults: Faults;
}

/**
 * The edge of the mesh: reads a state field by field, leaves out each peer, port and endpoint that is not
 * valid, and logs it once. Never throws, whatever the state contains.
 *
 * Two peers cannot share an index, and two tunnel peers cannot share an address. The node itself has priority,
 * then the one that had it in the previous state, then the first named; the other is left out.
 *
 * Does not read ports again that are the same object as before while the peers are the same.
 */
export class StateReader {
  readonly #ingress: Subnet;
  readonly #logger: Logger;
  #peers: ReadonlyMap<string, CheckedPeer> = new Map();
  /** What `#peers` was made from, and what was wrong with it. */
  #source: { readonly self: CheckedPeer | undefined; readonly peers: readonly unknown[] } = {
    self: undefined,
    peers: [],
  };
  #peerFaults: Faults = new Map();
  #loopback = false;
  #read = new WeakMap<object, Read>();
  /** Services and members by what they were read from, with what was wrong with those that were left out. */
  readonly #services = new WeakMap<object, CheckedService | string>();
  readonly #members = new WeakMap<object, CheckedMember | string>();
  #faults: Faults = new Map();

  constructor(options: { ingress: Subnet; logger: Logger }) {
    this.#ingress = options.ingress;
    this.#logger = options.logger;
  }

  /**
   * @param state a MeshState, as received
   * @param loopback whether this node itself is on a loopback address
   */
  read(state: unknown, self: CheckedPeer | undefined, loopback: boolean): CheckedState {
    const faults: Faults = new Map();
    const fields = isMap(state) ? state : ({} as Record<string, unknown>);
    const { generation, peers, ports, services = [], members = [] } = fields;
    this.#follow(listOf(peers, 'peers', faults), self);
    for (const [part, why] of this.#peerFaults) faults.set(part, why);
    if (loopback !== this.#loopback) this.#read = new WeakMap();
    this.#loopback = loopback;
    const checked = new Map<string, CheckedPort>();
    for (const port of listOf(ports, 'ports', faults)) this.#readPort(port, checked, faults);
    const named = this.#readEach(services, 'service', faults, this.#services, readService);
    const joined = this.#readEach(members, 'task', faults, this.#members, readMember);
    this.#tell(faults);
    return {
      generation: Number.isSafeInteger(generation) ? (generation as number) : 0,
      peers: this.#peers,
      ports: [...checked.values()],
      services: new Map(named.map((service) => [service.serviceId, service])),
      members: new Map(joined.map((member) => [member.taskId, member])),
    };
  }

  /** Reads each value once, as long as it is the same object. */
  #readEach<T extends object>(
    values: unknown,
    kind: 'service' | 'task',
    faults: Faults,
    known: WeakMap<object, T | string>,
    read: (value: unknown) => T,
  ): T[] {
    const found: T[] = [];
    for (const value of listOf(values, `${kind}s`, faults)) {
      let result = isMap(value) ? known.get(value) : undefined;
      if (result === undefined) {
        try {
          result = read(value);
        } catch (error) {
          if (!(error instanceof BadPart)) throw error;
          result = error.message;
        }
        if (isMap(value)) known.set(value, result);
      }
      if (typeof result === 'string') faults.set(`${kind} ${nameOf(value, `${kind}Id`)}`, result);
      else found.push(result);
    }
    return found;
  }

  /** Reads peers again only if one of them is another object than before. */
  #follow(peers: readonly unknown[], self: CheckedPeer | undefined): void {
    const source = this.#source;
    const same =
      source.self === self &&
      source.peers.length === peers.length &&
      peers.every((peer, i) => peer === source.peers[i]);
    if (same) return;
    this.#source = { self, peers: [...peers] };
    this.#peerFaults = new Map();
    const before = this.#peers;
    this.#peers = this.#readPeers(peers, self, this.#peerFaults);
    if (!samePlaces(before, this.#peers)) this.#read = new WeakMap();
  }

  #readPeers(
    peers: readonly unknown[],
    self: CheckedPeer | undefined,
    faults: Faults,
  ): ReadonlyMap<string, CheckedPeer> {
    const read: CheckedPeer[] = [];
    for (const value of peers) {
      try {
        read.push(readPeer(value, this.#ingress));
      } catch (error) {
        note(faults, 'peer', nameOf(value, 'nodeId'), error);
      }
    }
    const before = this.#peers;
    const rank = (peer: CheckedPeer): number => {
      if (peer.nodeId === self?.nodeId) return 0;
      const known = before.get(peer.nodeId);
      return known?.index === peer.index && known.address === peer.address ? 1 : 2;
    };
    const kept = new Map<string, CheckedPeer>();
    const byIndex = new Map<number, CheckedPeer>();
    const byAddress = new Map<string, CheckedPeer>();
    for (const wanted of [0, 1, 2]) {
      for (const peer of read) {
        if (rank(peer) !== wanted) continue;
        const other =
          kept.get(peer.nodeId) ??
          byIndex.get(peer.index) ??
          (peer.userspace ? undefined : byAddress.get(peer.address));
        if (other !== undefined) {
          const same = other.index === peer.index ? `index ${peer.index}` : peer.address;
          const why = new BadPart(`node ${other.nodeId} already has ${same}`);
          if (other.nodeId !== peer.nodeId) note(faults, 'peer', peer.nodeId, why);
          else faults.set(`peer ${peer.nodeId}`, 'it is named twice; the first counts');
          continue;
        }
        kept.set(peer.nodeId, peer);
        byIndex.set(peer.index, peer);
        if (!peer.userspace) byAddress.set(peer.address, peer);
      }
    }
    return kept;
  }

  #readPort(value: unknown, checked: Map<string, CheckedPort>, faults: Faults): void {
    try {
      const fields = fieldsOf(value, 'a port');
      let read = this.#read.get(fields);
      if (read === undefined) {
        read = this.#readFields(fields);
        this.#read.set(fields, read);
      }
      const key = portKey(read.port.protocol, read.port.publishedPort);
      if (checked.has(key)) throw new BadPart('it is named twice; the first counts');
      checked.set(key, read.port);
      for (const [name, why] of read.faults) faults.set(name, why);
    } catch (error) {
      note(faults, 'port', nameOf(value, 'publishedPort'), error);
    }
  }

  #readFields(fields: Readonly<Record<string, unknown>>): Read {
    const { protocol, publishedPort, serviceId } = fields;
    if (!isProtocol(protocol)) throw new BadPart('its protocol is not tcp, udp or sctp');
    if (!isPort(publishedPort)) throw new BadPart('it is not within 1 to 65535');
    const options = readPortOptions(fields);
    const faults: Faults = new Map();
    const endpoints: CheckedEndpoint[] = [];
    const rules = { peers: this.#peers, loopback: this.#loopback };
    const what = portKey(protocol, publishedPort);
    for (const value of listOf(fields.endpoints, `the endpoints of ${what}`, faults)) {
      try {
        const endpoint = readEndpoint(value, rules);
        if (endpoint !== undefined) endpoints.push(endpoint);
      } catch (error) {
        note(faults, `endpoint of ${what}`, nameOf(value, 'taskId'), error);
      }
    }
    const owner = typeof serviceId === 'string' ? serviceId : '';
    return { port: { protocol, publishedPort, serviceId: owner, options, endpoints }, faults };
  }

  /** Reports each fault once, as long as it persists. */
  #tell(faults: Faults): void {
    let told = 0;
    let more = 0;
    for (const [part, why] of faults) {
      if (this.#faults.get(part) === why) continue;
      if (told === FAULTS_LOGGED) more += 1;
      else {
        told += 1;
        this.#logger.warn({ part, why }, `left out of the mesh: ${part}: ${why}`);
      }
    }
    if (more > 0) this.#logger.warn({ more }, `left out of the mesh: ${more} more`);
    this.#faults = faults;
  }
}

function note(faults: Faults, kind: string, name: string, error: unknown): void {
  if (!(error instanceof BadPart)) throw error;
  faults.set(`${kind} ${name}`, error.message);
}

/** A name for the log: it was received, and may be anything. */
function nameOf(value: unknown, field: string): string {
  const name = isMap(value) ? value[field] : undefined;
  if (typeof name === 'number') return String(name);
  if (typeof name !== 'string') return 'without a name';
  return showControls(name.slice(0, NAME_LIMIT));
}

function listOf(value: unknown, what: string, faults: Faults): readonly unknown[] {
  if (Array.isArray(value)) return value;
  faults.set(what, 'it is not a list');
  return [];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Whether reading the endpoints gives the same result with either. */
function samePlaces(
  a: ReadonlyMap<string, CheckedPeer>,
  b: ReadonlyMap<string, CheckedPeer>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [nodeId, peer] of b) {
    const other = a.get(nodeId);
    if (other === undefined || other.index !== peer.index) return false;
    if (other.address !== peer.address || other.userspace !== peer.userspace) return false;
  }
  return true;
}
