import {
  type AllowSource,
  allowSource,
  type IpAddress,
  isHostAddress,
  isIpv6,
  isLoopback,
  isObjectId,
  isPort,
  isTaskAddress,
  NETWORK_ADDRESSES_LIMIT,
  nodeBlock,
  parseIpAddress,
  type PortKey,
  type PortProtocol,
  SHARED_PORT_FIRST,
  SHARED_PORT_LAST,
  Subnet,
} from '@swarm/api';
import { type SubnetText, subnetText } from './address.js';
import { BadPart, fieldsOf } from './bad-part.js';
import {
  MAX_PEER_INDEX,
  type NetworkId,
  parseNetworkId,
  parseTaskId,
  type TaskId,
} from './layout.js';
import { parseTunnelKey } from './encryption/keys.js';
import type { HostPort } from './mesh.js';
import type { TunnelKey } from './netlink/wireguard.js';
import type { PortOptions } from './port-options.js';

/** A peer whose every field is checked. */
export interface CheckedPeer {
  readonly nodeId: string;
  /** 1 to 4095. */
  readonly index: number;
  readonly address: IpAddress;
  /** The /24 of its index. */
  readonly subnet: SubnetText;
  readonly down: boolean;
  /** From which its own packets may come over IPv6, its data path address included. */
  readonly addressesV6: readonly IpAddress[];
  /** There is no tunnel to it: its tasks are reached at `address`. */
  readonly userspace: boolean;
  /** It answers probes of the path to it. */
  readonly probed: boolean;
  /** Undefined when it cannot encrypt. */
  readonly encryption: CheckedEncryption | undefined;
}

/** What a peer has to encrypt with, checked. */
export interface CheckedEncryption {
  readonly publicKey: TunnelKey;
  readonly epoch: string;
  readonly means: readonly string[];
}

/** Whether kernel and routes treat two peers the same. */
export function samePeer(a: CheckedPeer, b: CheckedPeer | undefined): boolean {
  return (
    b !== undefined &&
    a.index === b.index &&
    a.address === b.address &&
    a.subnet === b.subnet &&
    a.userspace === b.userspace &&
    a.addressesV6.length === b.addressesV6.length &&
    a.addressesV6.every((one, at) => one === b.addressesV6[at])
  );
}

/** An endpoint at a place where its node's tasks can be. */
export interface CheckedEndpoint {
  readonly taskId: string;
  readonly nodeId: string;
  readonly address: IpAddress;
  readonly port: number;
  /** It is reached over IPv6 too, at the address derived from `address`. */
  readonly ipv6: boolean;
  /** Its share of new connections is in proportion to this. Not negative. */
  readonly weight: number;
}

export interface CheckedPort {
  readonly protocol: PortProtocol;
  readonly publishedPort: number;
  /** Of the service that publishes it. */
  readonly serviceId: string;
  readonly options: PortOptions;
  readonly endpoints: readonly CheckedEndpoint[];
}

/** A service on overlay networks. */
export interface CheckedService {
  readonly serviceId: string;
  /** As names go in DNS questions: lower case. */
  readonly name: string;
  readonly networks: ReadonlyMap<NetworkId, CheckedServiceNetwork>;
  /** Undefined: open to all who reach it. */
  readonly allow: readonly CheckedAllow[] | undefined;
}

/** Somebody who may connect to a service. */
export interface CheckedAllow {
  readonly source: AllowSource;
  /** Empty: all ports of all protocols. */
  readonly ports: readonly { readonly protocol: PortProtocol; readonly port: number }[];
}

export interface CheckedServiceNetwork {
  readonly aliases: readonly string[];
  /** Empty when its names lead to its tasks. */
  readonly vips: readonly IpAddress[];
}

/** A task on overlay networks, on any node. */
export interface CheckedMember {
  readonly taskId: TaskId;
  readonly nodeId: string;
  /** Empty if it belongs to no service. */
  readonly serviceId: string;
  readonly names: readonly string[];
  readonly networks: ReadonlyMap<NetworkId, readonly IpAddress[]>;
  readonly serves: boolean;
  /** Share of new connections to its service's virtual addresses, in proportion to the others'. */
  readonly weight: number;
}

/** A fully checked state; made by StateReader. */
export interface CheckedState {
  readonly generation: number;
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  readonly ports: ReadonlyMap<PortKey, CheckedPort>;
  readonly services: ReadonlyMap<string, CheckedService>;
  readonly members: ReadonlyMap<TaskId, CheckedMember>;
}

/** What a delta changed in a state: by key, what was there before. */
export interface StateChange {
  readonly ports: ReadonlyMap<PortKey, CheckedPort | undefined>;
  readonly services: ReadonlyMap<string, CheckedService | undefined>;
  readonly members: ReadonlyMap<TaskId, CheckedMember | undefined>;
}

/** An overlay network, checked. */
export interface CheckedOverlay {
  readonly networkId: NetworkId;
  readonly name: string;
  /** At least one, at most one of each family. */
  readonly subnets: readonly Subnet[];
  readonly isInternal: boolean;
  readonly isEncrypted: boolean;
  readonly mtuBytes: number | undefined;
}

/** A task's place on one network, checked. */
export interface CheckedAttachment {
  readonly networkId: NetworkId;
  /** Undefined on the ingress network. */
  readonly overlay: CheckedOverlay | undefined;
  /** At least one, without duplicates. */
  readonly addresses: readonly [IpAddress, ...IpAddress[]];
}

/** A task's places on all its networks, checked. */
export interface CheckedTask {
  readonly taskId: TaskId;
  readonly netns: string;
  readonly attachments: readonly CheckedAttachment[];
  readonly hostPorts: readonly HostPort[];
  /** Its own names, in lower case. */
  readonly names: readonly string[];
  readonly nameservers: readonly IpAddress[];
}

/** Largest weight of an endpoint. */
const WEIGHT_LIMIT = 1000;

/** @throws BadPart */
export function readPeer(value: unknown, ingress: Subnet): CheckedPeer {
  const fields = fieldsOf(value, 'a peer');
  const { nodeId, index, address, subnet, down, userspace, ipv6Addresses = [], probed } = fields;
  const { encryption } = fields;
  if (!isObjectId(nodeId)) throw new BadPart('its node id is invalid');
  if (!Number.isInteger(index) || (index as number) < 1 || (index as number) > MAX_PEER_INDEX) {
    throw new BadPart(`its index is not within 1 to ${MAX_PEER_INDEX}`);
  }
  const parsed = parseIpAddress(address);
  if (parsed === undefined || !isHostAddress(parsed)) {
    throw new BadPart('its address is not the address of a host');
  }
  const block = subnetText(nodeBlock(ingress, index as number));
  if (block === undefined) throw new BadPart(`the network ${ingress} has no block for its index`);
  if (subnet !== block) throw new BadPart(`its block is not ${block}`);
  return {
    nodeId,
    index: index as number,
    address: parsed,
    subnet: block,
    down: down === true,
    addressesV6: readIpv6(ipv6Addresses, parsed),
    userspace: userspace === true,
    probed: probed === true,
    encryption: readEncryption(encryption),
  };
}

/** Undefined for a node that cannot encrypt, and when it is invalid: nothing then leads to it encrypted, or at all. */
function readEncryption(value: unknown): CheckedEncryption | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { publicKey, epoch, means } = value as Readonly<Record<string, unknown>>;
  const key = parseTunnelKey(publicKey);
  if (key === undefined || typeof epoch !== 'string' || !EPOCH.test(epoch)) return undefined;
  if (!Array.isArray(means)) return undefined;
  const names = means.filter((name): name is string => typeof name === 'string');
  return { publicKey: key, epoch, means: names };
}

/** Name of an epoch. */
const EPOCH = /^[A-Za-z0-9]{1,64}$/;

/** Most IPv6 addresses of one node. */
const NODE_ADDRESSES_LIMIT = 16;

/** Skips what is not an IPv6 address of a host: a node that says so reaches no task of its own through others. */
function readIpv6(value: unknown, own: IpAddress): readonly IpAddress[] {
  const list: readonly unknown[] = Array.isArray(value) ? value.slice(0, NODE_ADDRESSES_LIMIT) : [];
  const found = [own, ...list.flatMap((text) => parseIpAddress(text) ?? [])];
  return [...new Set(found)].filter(
    (address) => isIpv6(address) && isHostAddress(address) && !isLoopback(address),
  );
}

/** Where an endpoint of this node may be. */
export interface EndpointRules {
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  /** Whether the node itself is on a loopback address and can reach others there. */
  readonly loopback: boolean;
}

/**
 * Checks an endpoint; undefined if its node has no place in the mesh, so that nothing goes to it. A kernel
 * node's endpoint has an address in the node's own block. A userspace node's has the node's own address, and a
 * port from the range that such nodes give to tasks: whatever else a node reports about its tasks, it cannot
 * make others connect elsewhere.
 * @throws BadPart
 */
export function readEndpoint(value: unknown, rules: EndpointRules): CheckedEndpoint | undefined {
  const { taskId, nodeId, address, port, ipv6, weight = 1 } = fieldsOf(value, 'an endpoint');
  if (!isObjectId(taskId)) throw new BadPart('its task id is invalid');
  if (!isObjectId(nodeId)) throw new BadPart('its node id is invalid');
  if (!isPort(port)) throw new BadPart('its port is not within 1 to 65535');
  if (!isWeight(weight)) throw new BadPart(`its weight is not within 0 to ${WEIGHT_LIMIT}`);
  const parsed = parseIpAddress(address);
  if (parsed === undefined) throw new BadPart('its address is invalid');
  const peer = rules.peers.get(nodeId);
  if (peer === undefined) return undefined;
  if (!peer.userspace) {
    if (!isTaskAddress(Subnet.of(peer.subnet), parsed)) {
      throw new BadPart(`its address is not a task's in the block ${peer.subnet} of its node`);
    }
  } else if (parsed !== peer.address) {
    throw new BadPart(`its address is not ${peer.address}, that of its node`);
  } else if (port < SHARED_PORT_FIRST || port > SHARED_PORT_LAST) {
    throw new BadPart(`its port is not within ${SHARED_PORT_FIRST} to ${SHARED_PORT_LAST}`);
  } else if (isLoopback(parsed) && !rules.loopback) {
    throw new BadPart('its address is the loopback of another host');
  }
  // Only a task in a node's block has an address to derive one from.
  return { taskId, nodeId, address: parsed, port, ipv6: ipv6 === true && !peer.userspace, weight };
}

function isWeight(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= WEIGHT_LIMIT;
}

export function isProtocol(value: unknown): value is PortProtocol {
  return value === 'tcp' || value === 'udp' || value === 'sctp';
}

/** A name for DNS: what a label or several may hold, in lower case; see RFC 1035, section 2.3.1, and underscores. */
const DNS_NAME = /^[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?$/;

/** @throws BadPart */
export function readService(value: unknown): CheckedService {
  const { serviceId, name, networks, allow } = fieldsOf(value, 'a service');
  if (!isObjectId(serviceId)) throw new BadPart('its service id is invalid');
  return {
    serviceId,
    name: readName(name),
    networks: new Map(
      listIn(networks, 'its networks').map((each) => {
        const { networkId, vips, aliases } = fieldsOf(each, 'a network of it');
        const read = {
          aliases: listIn(aliases, 'its aliases').map(readName),
          vips: readAddresses(vips),
        };
        return [readNetworkId(networkId), read];
      }),
    ),
    allow: allow === undefined ? undefined : listIn(allow, 'its rules').flatMap(readRule),
  };
}

/** A rule that cannot be read admits nobody: the service stays closed to whom it would have named. */
function readRule(value: unknown): CheckedAllow[] {
  const { From, Ports = [] } = fieldsOf(value, 'a rule of it');
  const source = typeof From === 'string' ? allowSource(From) : undefined;
  if (source === undefined) return [];
  const given = listIn(Ports, 'the ports of a rule');
  const ports = given.flatMap((one) => {
    const { Protocol: protocol, Port: port } = fieldsOf(one, 'a port of a rule');
    return isProtocol(protocol) && isPort(port) ? { protocol, port } : [];
  });
  return given.length > 0 && ports.length === 0 ? [] : [{ source, ports }];
}

/** @throws BadPart */
export function readMember(value: unknown): CheckedMember {
  const {
    taskId,
    nodeId,
    serviceId,
    names,
    networks,
    serves,
    weight = 1,
  } = fieldsOf(value, 'a task');
  const id = parseTaskId(taskId);
  if (id === undefined) throw new BadPart('its task id is invalid');
  if (!isObjectId(nodeId)) throw new BadPart('its node id is invalid');
  if (serviceId !== '' && !isObjectId(serviceId)) throw new BadPart('its service id is invalid');
  if (!isWeight(weight)) throw new BadPart(`its weight is not within 0 to ${WEIGHT_LIMIT}`);
  return {
    taskId: id,
    nodeId,
    serviceId,
    names: listIn(names, 'its names').map(readName),
    networks: new Map(
      listIn(networks, 'its networks').map((each) => {
        const { networkId, addresses } = fieldsOf(each, 'a network of it');
        return [readNetworkId(networkId), readAddresses(addresses)];
      }),
    ),
    serves: serves === true,
    weight,
  };
}

function readName(value: unknown): string {
  const name = hostNameOf(value);
  if (name === undefined) throw new BadPart('one of its names cannot be a host name');
  return name;
}

/** The name in lower case; undefined if it cannot be one in DNS. */
export function hostNameOf(value: unknown): string | undefined {
  const name = typeof value === 'string' ? value.toLowerCase() : '';
  return DNS_NAME.test(name) ? name : undefined;
}

function readNetworkId(value: unknown): NetworkId {
  const id = parseNetworkId(value);
  if (id === undefined) throw new BadPart('one of its network ids is invalid');
  return id;
}

function readAddresses(value: unknown): IpAddress[] {
  const list = listIn(value, 'its addresses');
  if (list.length > NETWORK_ADDRESSES_LIMIT)
    throw new BadPart('it has too many addresses on one network');
  return list.map((text) => {
    const address = parseIpAddress(text);
    if (address === undefined || !isHostAddress(address) || isLoopback(address))
      throw new BadPart('one of its addresses is not one that a task can have');
    return address;
  });
}

function listIn(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new BadPart(`${what} are not a list`);
  return value;
}
