import { type IpAddress, isIpv6, parseIpAddress } from '@swarm/api';
import { addressBytes } from '../address.js';
import {
  attribute,
  nested,
  readAttributes,
  text,
  u16,
  u32,
  u8,
  attributeValue,
} from './attributes.js';
import { genericAttributes, genericPayload } from './generic.js';

/** linux/wireguard.h */
export const WIREGUARD_FAMILY = 'wireguard';
const VERSION = 1;
const CMD_GET_DEVICE = 0;
const CMD_SET_DEVICE = 1;
const DEVICE = { name: 2, privateKey: 3, publicKey: 4, listenPort: 6, peers: 8 } as const;
const PEER = { publicKey: 1, flags: 3, endpoint: 4, keepalive: 5, allowed: 9 } as const;
const PEER_REMOVE = 1;
const ALLOWED = { family: 1, address: 2, prefix: 3 } as const;
const AF_INET = 2;
const AF_INET6 = 10;
const V4_BITS = 32;
const V6_BITS = 128;

/** A key in base64, 44 characters: 32 bytes. */
export type TunnelKey = string & { readonly __tunnelKey: never };

/** Where a node's encrypted packets go. */
export interface UdpEndpoint {
  readonly address: IpAddress;
  readonly port: number;
}

/** A change of one peer of a device; what is absent stays as it is. */
export interface PeerChange {
  readonly publicKey: TunnelKey;
  readonly isRemoved?: boolean;
  readonly endpoint?: UdpEndpoint;
  /** 0 is never. Setting it to more sends one packet at once. */
  readonly keepaliveSeconds?: number;
  /** Single addresses that it may have from here on; whichever peer had one before loses it. */
  readonly allowed?: readonly IpAddress[];
}

export interface DeviceChange {
  readonly device: string;
  readonly privateKey?: Uint8Array;
  readonly listenPort?: number;
  readonly peers?: readonly PeerChange[];
}

/** A peer as the kernel has it. */
export interface DevicePeer {
  readonly publicKey: TunnelKey;
  readonly endpoint: UdpEndpoint | undefined;
  readonly allowed: readonly IpAddress[];
}

export interface DeviceState {
  readonly publicKey: TunnelKey | undefined;
  readonly listenPort: number;
  readonly peers: readonly DevicePeer[];
}

/** Payload of a request that changes a device. */
export function setDevice({ device, privateKey, listenPort, peers = [] }: DeviceChange): Buffer {
  const attributes = [text(DEVICE.name, device)];
  if (privateKey !== undefined) attributes.push(attribute(DEVICE.privateKey, privateKey));
  if (listenPort !== undefined) attributes.push(u16(DEVICE.listenPort, listenPort));
  if (peers.length > 0) {
    attributes.push(
      nested(
        DEVICE.peers,
        peers.map((peer, i) => nested(i, peerAttributes(peer))),
      ),
    );
  }
  return genericPayload(CMD_SET_DEVICE, VERSION, attributes);
}

function peerAttributes(peer: PeerChange): Buffer[] {
  const { publicKey, isRemoved, endpoint, keepaliveSeconds, allowed = [] } = peer;
  const attributes = [attribute(PEER.publicKey, Buffer.from(publicKey, 'base64'))];
  if (isRemoved === true) attributes.push(u32(PEER.flags, PEER_REMOVE));
  if (endpoint !== undefined) attributes.push(attribute(PEER.endpoint, socketAddress(endpoint)));
  if (keepaliveSeconds !== undefined) attributes.push(u16(PEER.keepalive, keepaliveSeconds));
  if (allowed.length > 0) {
    attributes.push(
      nested(
        PEER.allowed,
        allowed.map((one, i) => nested(i, allowedAttributes(one))),
      ),
    );
  }
  return attributes;
}

function allowedAttributes(address: IpAddress): Buffer[] {
  const v6 = isIpv6(address);
  return [
    u16(ALLOWED.family, v6 ? AF_INET6 : AF_INET),
    attribute(ALLOWED.address, Buffer.from(addressBytes(address))),
    u8(ALLOWED.prefix, v6 ? V6_BITS : V4_BITS),
  ];
}

/** `struct sockaddr_in` or `sockaddr_in6`. */
function socketAddress({ address, port }: UdpEndpoint): Buffer {
  const v6 = isIpv6(address);
  const bytes = Buffer.alloc(v6 ? 28 : 16);
  bytes.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(addressBytes(address), v6 ? 8 : 4);
  return bytes;
}

/** Payload of a request that lists a device with its peers. */
export function getDevice(device: string): Buffer {
  return genericPayload(CMD_GET_DEVICE, VERSION, [text(DEVICE.name, device)]);
}

/** Reads a listing; the kernel divides a long one, also within a peer. */
export function readDevice(payloads: readonly Buffer[]): DeviceState {
  let publicKey: TunnelKey | undefined;
  let listenPort = 0;
  const peers = new Map<TunnelKey, DevicePeer>();
  for (const payload of payloads) {
    const attributes = genericAttributes(payload);
    publicKey ??= keyText(attributeValue(attributes, DEVICE.publicKey));
    listenPort ||= attributeValue(attributes, DEVICE.listenPort)?.readUInt16LE(0) ?? 0;
    for (const { value } of readAttributes(
      attributeValue(attributes, DEVICE.peers) ?? Buffer.alloc(0),
    )) {
      const read = readPeer(value);
      if (read === undefined) continue;
      const before = peers.get(read.publicKey);
      const allowed = [...(before?.allowed ?? []), ...read.allowed];
      peers.set(read.publicKey, { ...read, endpoint: before?.endpoint ?? read.endpoint, allowed });
    }
  }
  return { publicKey, listenPort, peers: [...peers.values()] };
}

function readPeer(data: Buffer): DevicePeer | undefined {
  const attributes = readAttributes(data);
  const publicKey = keyText(attributeValue(attributes, PEER.publicKey));
  if (publicKey === undefined) return undefined;
  const allowed: IpAddress[] = [];
  for (const { value } of readAttributes(
    attributeValue(attributes, PEER.allowed) ?? Buffer.alloc(0),
  )) {
    const address = readAddress(attributeValue(readAttributes(value), ALLOWED.address));
    if (address !== undefined) allowed.push(address);
  }
  return { publicKey, endpoint: readEndpoint(attributeValue(attributes, PEER.endpoint)), allowed };
}

function readEndpoint(data: Buffer | undefined): UdpEndpoint | undefined {
  if (data === undefined || data.length < 16) return undefined;
  const v6 = data.readUInt16LE(0) === AF_INET6;
  const address = readAddress(v6 ? data.subarray(8, 24) : data.subarray(4, 8));
  return address === undefined ? undefined : { address, port: data.readUInt16BE(2) };
}

function readAddress(bytes: Buffer | undefined): IpAddress | undefined {
  if (bytes?.length === 4) return parseIpAddress(bytes.join('.'));
  if (bytes?.length !== 16) return undefined;
  return parseIpAddress(bytes.toString('hex').replace(/(....)(?!$)/g, '$1:'));
}

function keyText(bytes: Buffer | undefined): TunnelKey | undefined {
  return bytes?.length === 32 ? (bytes.toString('base64') as TunnelKey) : undefined;
}
