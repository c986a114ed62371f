import { type IpAddress, isIpv6, isPort, parseIpAddress } from '@swarm/api';
import { addressBytes } from '../address-bytes.js';
import { type Attribute, attribute, nested, readAttributes, text, u16, u32 } from './attributes.js';
import { attributeValue } from './attributes.js';
import { genericAttributes, genericPayload } from './generic.js';

/** linux/ip_vs.h */
export const IPVS_FAMILY = 'IPVS';
const VERSION = 1;
const CMD = {
  newService: 1,
  setService: 2,
  deleteService: 3,
  getService: 4,
  newDestination: 5,
  setDestination: 6,
  deleteDestination: 7,
  getDestination: 8,
  setConfig: 12,
  getConfig: 13,
} as const;
const ATTRIBUTE = { service: 1, destination: 2, tcp: 4, tcpFin: 5, udp: 6 } as const;
const SERVICE = { family: 1, mark: 5, scheduler: 6, flags: 7, timeout: 8, netmask: 9 } as const;
const DESTINATION = {
  address: 1,
  port: 2,
  method: 3,
  weight: 4,
  upperThreshold: 5,
  lowerThreshold: 6,
  active: 7,
  inactive: 8,
  persistent: 9,
} as const;
/** Rewrites the packet's destination and nothing else. */
const METHOD_MASQUERADE = 0;
const METHOD_MASK = 0x7;
const AF_INET = 2;
const AF_INET6 = 10;
/** A `union nf_inet_addr`, whichever family it is of. */
const ADDRESS_BYTES = 16;
const NETMASK_V4 = 0xffffffff;
const NETMASK_V6 = 128;
const ALL_FLAGS = 0xffffffff;

/** How a service chooses: by turns and weights, or by a Maglev table of the client's address. */
export type Scheduler = 'wrr' | 'mh';

/** A service, known to the kernel by the packet's mark. */
export interface MarkedService {
  readonly version: 4 | 6;
  readonly mark: number;
}

/** A service as the kernel has it. */
export interface ListedService extends MarkedService {
  /** Also one that is not ours to choose. */
  readonly scheduler: string;
}

/** Where a service leads. */
export interface Destination {
  readonly address: IpAddress;
  readonly port: number;
  /** 0 gets no new connections. */
  readonly weight: number;
}

/** A destination as the kernel has it. */
export interface ListedDestination extends Destination {
  /** Connections of any state. */
  readonly connections: number;
}

/** How long the kernel keeps connections without a packet, in seconds. */
export interface IpvsTimeouts {
  readonly tcp: number;
  readonly tcpFin: number;
  readonly udp: number;
}

/** Payload of a request that adds a service. */
export function newService(service: MarkedService, scheduler: Scheduler): Buffer {
  return request(CMD.newService, [serviceOf(service, scheduler)]);
}

/** Payload of a request that changes how a service chooses. */
export function setService(service: MarkedService, scheduler: Scheduler): Buffer {
  return request(CMD.setService, [serviceOf(service, scheduler)]);
}

/** Payload of a request that removes a service, its destinations and their connections. */
export function deleteService(service: MarkedService): Buffer {
  return request(CMD.deleteService, [serviceOf(service)]);
}

/** Payload of a request that lists all services, others' too. */
export function listServices(): Buffer {
  return request(CMD.getService, []);
}

export function newDestination(service: MarkedService, destination: Destination): Buffer {
  return request(CMD.newDestination, [serviceOf(service), destinationOf(destination)]);
}

/** Payload of a request that changes a destination's weight. */
export function setDestination(service: MarkedService, destination: Destination): Buffer {
  return request(CMD.setDestination, [serviceOf(service), destinationOf(destination)]);
}

/** Payload of a request that removes a destination and, sooner or later, its connections. */
export function deleteDestination(
  service: MarkedService,
  { address, port }: Pick<Destination, 'address' | 'port'>,
): Buffer {
  const key = nested(ATTRIBUTE.destination, placeOf({ address, port }));
  return request(CMD.deleteDestination, [serviceOf(service), key]);
}

/** Payload of a request that lists the destinations of one service. */
export function listDestinations(service: MarkedService): Buffer {
  return request(CMD.getDestination, [serviceOf(service)]);
}

export function setTimeouts({ tcp, tcpFin, udp }: IpvsTimeouts): Buffer {
  return request(CMD.setConfig, [
    u32(ATTRIBUTE.tcp, tcp),
    u32(ATTRIBUTE.tcpFin, tcpFin),
    u32(ATTRIBUTE.udp, udp),
  ]);
}

export function getTimeouts(): Buffer {
  return request(CMD.getConfig, []);
}

/** Reads a listing of services. Skips those that are known by an address instead of a mark: they are others'. */
export function readServices(payloads: readonly Buffer[]): ListedService[] {
  return payloads.flatMap((payload) => {
    const attributes = within(payload, ATTRIBUTE.service);
    const family = number(attributes, SERVICE.family, 2);
    const mark = number(attributes, SERVICE.mark, 4) ?? 0;
    const scheduler = attributeValue(attributes, SERVICE.scheduler);
    if (mark === 0 || scheduler === undefined) return [];
    if (family !== AF_INET && family !== AF_INET6) return [];
    return [{ version: family === AF_INET ? 4 : 6, mark, scheduler: textOf(scheduler) }];
  });
}

/**
 * Reads a listing of one service's destinations. Skips those that we would not make: of the other family, or reached
 * by another method than translation.
 */
export function readDestinations(payloads: readonly Buffer[], version: 4 | 6): ListedDestination[] {
  return payloads.flatMap((payload) => {
    const attributes = within(payload, ATTRIBUTE.destination);
    const address = addressOf(attributeValue(attributes, DESTINATION.address), version);
    const port = attributeValue(attributes, DESTINATION.port);
    const method = number(attributes, DESTINATION.method, 4) ?? METHOD_MASQUERADE;
    const weight = number(attributes, DESTINATION.weight, 4);
    if (address === undefined || port?.length !== 2 || weight === undefined) return [];
    if (!isPort(port.readUInt16BE(0)) || (method & METHOD_MASK) !== METHOD_MASQUERADE) return [];
    const counts = [DESTINATION.active, DESTINATION.inactive, DESTINATION.persistent];
    const connections = counts
      .map((type) => number(attributes, type, 4) ?? 0)
      .reduce((sum, count) => sum + count);
    return [{ address, port: port.readUInt16BE(0), weight, connections }];
  });
}

/** @returns undefined when the answer lacks one */
export function readTimeouts(payloads: readonly Buffer[]): IpvsTimeouts | undefined {
  const [payload] = payloads;
  if (payload === undefined) return undefined;
  const attributes = genericAttributes(payload);
  const tcp = number(attributes, ATTRIBUTE.tcp, 4);
  const tcpFin = number(attributes, ATTRIBUTE.tcpFin, 4);
  const udp = number(attributes, ATTRIBUTE.udp, 4);
  if (tcp === undefined || tcpFin === undefined || udp === undefined) return undefined;
  return { tcp, tcpFin, udp };
}

function request(command: number, attributes: readonly Buffer[]): Buffer {
  return genericPayload(command, VERSION, attributes);
}

/** @param scheduler absent: what names the service is enough */
function serviceOf({ version, mark }: MarkedService, scheduler?: Scheduler): Buffer {
  const key = [u16(SERVICE.family, version === 4 ? AF_INET : AF_INET6), u32(SERVICE.mark, mark)];
  if (scheduler === undefined) return nested(ATTRIBUTE.service, key);
  // `struct ip_vs_flags`: none of all.
  const flags = Buffer.alloc(8);
  flags.writeUInt32LE(ALL_FLAGS, 4);
  return nested(ATTRIBUTE.service, [
    ...key,
    text(SERVICE.scheduler, scheduler),
    attribute(SERVICE.flags, flags),
    u32(SERVICE.timeout, 0),
    u32(SERVICE.netmask, version === 4 ? NETMASK_V4 : NETMASK_V6),
  ]);
}

function destinationOf(destination: Destination): Buffer {
  return nested(ATTRIBUTE.destination, [
    ...placeOf(destination),
    u32(DESTINATION.method, METHOD_MASQUERADE),
    u32(DESTINATION.weight, destination.weight),
    u32(DESTINATION.upperThreshold, 0),
    u32(DESTINATION.lowerThreshold, 0),
  ]);
}

function placeOf({ address, port }: Pick<Destination, 'address' | 'port'>): readonly Buffer[] {
  const bytes = Buffer.alloc(ADDRESS_BYTES);
  bytes.set(addressBytes(address));
  const inOrder = Buffer.alloc(2);
  inOrder.writeUInt16BE(port);
  return [attribute(DESTINATION.address, bytes), attribute(DESTINATION.port, inOrder)];
}

/** The attributes within one of an answer's; none when it has no such. */
function within(payload: Buffer, type: number): readonly Attribute[] {
  const value = attributeValue(genericAttributes(payload), type);
  return value === undefined ? [] : readAttributes(value);
}

/** A number of 2 or 4 bytes; undefined when it has another size. */
function number(attributes: readonly Attribute[], type: number, bytes: 2 | 4): number | undefined {
  const value = attributeValue(attributes, type);
  return value?.length === bytes ? value.readUIntLE(0, bytes) : undefined;
}

function textOf(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('latin1', 0, end === -1 ? value.length : end);
}

function addressOf(value: Buffer | undefined, version: 4 | 6): IpAddress | undefined {
  if (value?.length !== ADDRESS_BYTES) return undefined;
  const address =
    version === 4
      ? parseIpAddress(value.subarray(0, 4).join('.'))
      : parseIpAddress(value.toString('hex').replace(/(....)(?!$)/g, '$1:'));
  return address !== undefined && isIpv6(address) === (version === 6) ? address : undefined;
}
