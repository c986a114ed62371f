import { isPort, type Logger, type PortKey, portKey, type Subnet } from '@swarm/api';
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
  readService,
  type StateChange,
} from './checked.js';
import { FaultLog, type Faults, isMap, listOf, nameOf, note } from './faults.js';
import type { TaskId } from './layout.js';
import { PeerReader } from './peer-reader.js';
import { readPortOptions } from './port-options.js';

/** A port with everything else that its reading depended on. */
interface Read {
  readonly port: CheckedPort;
  readonly faults: Faults;
}

/** A kind of object that is read by itself. */
interface Kind<K extends string, T extends object> {
  readonly name: 'service' | 'task';
  readonly read: (value: unknown) => T;
  readonly idOf: (one: T) => K;
  /** By what they were read from, with what was wrong with those that were left out. */
  readonly known: WeakMap<object, T | string>;
}

/**
 * The edge of the mesh: reads a state field by field, leaves out each peer, port and endpoint that is not
 * valid, and logs it once. Never throws, whatever the state contains.
 *
 * Does not read ports again that are the same object as before while the peers are the same. What a delta names is
 * read alone, so that it costs nothing how much else there is.
 */
export class StateReader {
  readonly #faults: FaultLog;
  readonly #peers: PeerReader;
  #loopback = false;
  #read = new WeakMap<object, Read>();
  readonly #services: Kind<string, CheckedService> = {
    name: 'service',
    read: readService,
    idOf: ({ serviceId }) => serviceId,
    known: new WeakMap(),
  };
  readonly #members: Kind<TaskId, CheckedMember> = {
    name: 'task',
    read: readMember,
    idOf: ({ taskId }) => taskId,
    known: new WeakMap(),
  };
  #ports = new Map<PortKey, CheckedPort>();
  /** Names of faults in ports that have some. */
  #portFaults = new Map<PortKey, readonly string[]>();
  #servicesById = new Map<string, CheckedService>();
  #membersById = new Map<TaskId, CheckedMember>();

  constructor(options: { ingress: Subnet; logger: Logger }) {
    this.#peers = new PeerReader(options.ingress);
    this.#faults = new FaultLog(options.logger);
  }

  /**
   * @param state a MeshState, as received
   * @param loopback whether this node itself is on a loopback address
   * @returns the state, which follows what `change` reads until the next `read`
   */
  read(state: unknown, self: CheckedPeer | undefined, loopback: boolean): CheckedState {
    const faults: Faults = new Map();
    const fields = isMap(state) ? state : ({} as Record<string, unknown>);
    const { generation, peers, ports, services = [], members = [] } = fields;
    const isStale = this.#peers.follow(listOf(peers, 'peers', faults), self);
    for (const [part, why] of this.#peers.faults) faults.set(part, why);
    if (isStale || loopback !== this.#loopback) this.#read = new WeakMap();
    this.#loopback = loopback;
    this.#ports = new Map();
    this.#portFaults = new Map();
    for (const port of listOf(ports, 'ports', faults)) this.#readPort(port, faults);
    this.#servicesById = new Map();
    for (const value of listOf(services, 'services', faults))
      readOne(value, this.#services, this.#servicesById, faults);
    this.#membersById = new Map();
    for (const value of listOf(members, 'tasks', faults))
      readOne(value, this.#members, this.#membersById, faults);
    this.#faults.replace(faults);
    return this.#state(generation);
  }

  /**
   * Takes in what a delta names, other than peers.
   * @param delta a MeshDelta, as received
   */
  change(delta: unknown): { readonly state: CheckedState; readonly change: StateChange } {
    const faults: Faults = new Map();
    const gone: string[] = [];
    const fields = isMap(delta) ? delta : ({} as Record<string, unknown>);
    const { generation, removedServices = [], removedMembers = [] } = fields;
    const ports = new Map<PortKey, CheckedPort | undefined>();
    const drop = (value: unknown): void => {
      const key = keyOf(value);
      gone.push(`port ${nameOf(value, 'publishedPort')}`);
      if (key === undefined) return;
      if (!ports.has(key)) ports.set(key, this.#ports.get(key));
      this.#ports.delete(key);
      gone.push(...(this.#portFaults.get(key) ?? []));
      this.#portFaults.delete(key);
    };
    for (const value of listOf(fields.removedPorts, 'removed ports', faults)) drop(value);
    for (const value of listOf(fields.ports, 'ports', faults)) {
      drop(value);
      this.#readPort(value, faults);
    }
    const services = changeEach(
      { put: fields.services ?? [], removed: removedServices },
      ...([this.#services, this.#servicesById, faults, gone] as const),
    );
    const members = changeEach(
      { put: fields.members ?? [], removed: removedMembers },
      ...([this.#members, this.#membersById, faults, gone] as const),
    );
    this.#faults.change(gone, faults);
    return { state: this.#state(generation), change: { ports, services, members } };
  }

  #state(generation: unknown): CheckedState {
    return {
      generation: Number.isSafeInteger(generation) ? (generation as number) : 0,
      peers: this.#peers.peers,
      ports: this.#ports,
      services: this.#servicesById,
      members: this.#membersById,
    };
  }

  #readPort(value: unknown, faults: Faults): void {
    try {
      const fields = fieldsOf(value, 'a port');
      let read = this.#read.get(fields);
      if (read === undefined) {
        read = this.#readFields(fields);
        this.#read.set(fields, read);
      }
      const key = portKey(read.port.protocol, read.port.publishedPort);
      if (this.#ports.has(key)) throw new BadPart('it is named twice; the first counts');
      this.#ports.set(key, read.port);
      if (read.faults.size === 0) return;
      this.#portFaults.set(key, [...read.faults.keys()]);
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
    const rules = { peers: this.#peers.peers, loopback: this.#loopback };
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
}

/** Reads a value once, as long as it is the same object. */
function readOne<K extends string, T extends object>(
  value: unknown,
  { name, read, idOf, known }: Kind<K, T>,
  found: Map<K, T>,
  faults: Faults,
): T | undefined {
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
  if (typeof result === 'string') {
    faults.set(`${name} ${nameOf(value, `${name}Id`)}`, result);
    return undefined;
  }
  found.set(idOf(result), result);
  return result;
}

/** @returns what each was before */
function changeEach<K extends string, T extends object>(
  { put, removed }: { readonly put: unknown; readonly removed: unknown },
  kind: Kind<K, T>,
  found: Map<K, T>,
  faults: Faults,
  gone: string[],
): ReadonlyMap<K, T | undefined> {
  const before = new Map<K, T | undefined>();
  const drop = (id: unknown): void => {
    if (typeof id !== 'string') return;
    const key = id as K;
    if (!before.has(key)) before.set(key, found.get(key));
    found.delete(key);
    gone.push(`${kind.name} ${id}`);
  };
  for (const id of listOf(removed, `removed ${kind.name}s`, faults)) drop(id);
  for (const value of listOf(put, `${kind.name}s`, faults)) {
    drop(isMap(value) ? value[`${kind.name}Id`] : undefined);
    readOne(value, kind, found, faults);
  }
  return before;
}

/** Undefined when no port of a state can have this key. */
function keyOf(value: unknown): PortKey | undefined {
  if (!isMap(value)) return undefined;
  const { protocol, publishedPort } = value;
  return isProtocol(protocol) && isPort(publishedPort)
    ? portKey(protocol, publishedPort)
    : undefined;
}
