import { type IpAddress, isIpv6, parseIpAddress } from '@swarm/api';
import { addressBytes } from '../address.js';
import { attribute, readAttributes, u32, attributeValue } from './attributes.js';

/**
 * Security associations and policies of the kernel's IPsec, as `struct`s of linux/xfrm.h. All of ours are ESP in
 * tunnel mode with AES-GCM (RFC 4106) and sequence numbers of 64 bits (RFC 4303).
 */
export const XFRM = {
  newAssociation: 0x10,
  deleteAssociation: 0x11,
  listAssociations: 0x12,
  deletePolicy: 0x14,
  listPolicies: 0x15,
  /** Makes the policy, or changes it. */
  putPolicy: 0x19,
} as const;

const ATTRIBUTE = { templates: 5, aead: 18, replay: 23, interface: 31 } as const;
const AF_INET = 2;
const AF_INET6 = 10;
const ADDRESS_BYTES = 16;
const PROTOCOL_ESP = 50;
const MODE_TUNNEL = 1;
/** The tunnel carries packets of both families. */
const FLAG_ANY_FAMILY = 32;
const FLAG_ESN = 128;
const SELECTOR_BYTES = 56;
const ASSOCIATION_BYTES = 224;
const ASSOCIATION_ID_BYTES = 24;
const POLICY_BYTES = 168;
const POLICY_ID_BYTES = 64;
const TEMPLATE_BYTES = 64;
const ALGORITHM = 'rfc4106(gcm(aes))';
const ALGORITHM_NAME_BYTES = 64;
const TAG_BITS = 128;
/** Packets that may overtake each other. */
const REPLAY_WINDOW = 1024;
const NO_LIMIT = 0xffff_ffff_ffff_ffffn;
const ANY_ALGORITHM = 0xffff_ffff;
const PRIORITY = 1000;

/** Bytes of a key: AES with 256 bits, and the part of the nonce that is not sent. */
export const ESP_KEY_BYTES = 36;

/** Packets from one node to another. */
export interface Association {
  readonly from: IpAddress;
  readonly to: IpAddress;
  /** Names it in each packet; not below 256. */
  readonly spi: number;
  readonly key: Uint8Array;
  /** Number of the interface that it belongs to, and of those who ask for it. */
  readonly interfaceId: number;
}

export type AssociationId = Pick<Association, 'to' | 'spi'>;

/**
 * `out`: packets to an address leave only within a tunnel between these nodes. `forward`: packets from an address
 * pass on only if they came in one.
 */
export interface Policy {
  readonly direction: 'out' | 'forward';
  /** Of a task. */
  readonly address: IpAddress;
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly interfaceId: number;
}

export type PolicyId = Pick<Policy, 'direction' | 'address' | 'interfaceId'>;

const DIRECTIONS = { out: 1, forward: 2 } as const;

/** Payload of {@link XFRM.newAssociation}. */
export function newAssociation({ from, to, spi, key, interfaceId }: Association): Buffer {
  const info = Buffer.alloc(ASSOCIATION_BYTES);
  writeId(info, SELECTOR_BYTES, to, spi);
  writeAddress(info, 80, from);
  writeLimits(info, 96);
  info.writeUInt32LE(interfaceId, 208);
  info.writeUInt16LE(familyOf(to), 212);
  info.writeUInt8(MODE_TUNNEL, 214);
  info.writeUInt8(FLAG_ESN | FLAG_ANY_FAMILY, 216);
  return Buffer.concat([
    info,
    attribute(ATTRIBUTE.aead, aead(key)),
    attribute(ATTRIBUTE.replay, replayState()),
    u32(ATTRIBUTE.interface, interfaceId),
  ]);
}

function aead(key: Uint8Array): Buffer {
  const bytes = Buffer.alloc(ALGORITHM_NAME_BYTES + 8 + key.length);
  bytes.write(ALGORITHM, 0);
  bytes.writeUInt32LE(key.length * 8, ALGORITHM_NAME_BYTES);
  bytes.writeUInt32LE(TAG_BITS, ALGORITHM_NAME_BYTES + 4);
  bytes.set(key, ALGORITHM_NAME_BYTES + 8);
  return bytes;
}

/** `struct xfrm_replay_state_esn`: nothing sent, nothing received. */
function replayState(): Buffer {
  const words = REPLAY_WINDOW / 32;
  const bytes = Buffer.alloc(24 + words * 4);
  bytes.writeUInt32LE(words, 0);
  bytes.writeUInt32LE(REPLAY_WINDOW, 20);
  return bytes;
}

/** Payload of {@link XFRM.deleteAssociation}. */
export function deleteAssociation({ to, spi }: AssociationId): Buffer {
  const id = Buffer.alloc(ASSOCIATION_ID_BYTES);
  writeAddress(id, 0, to);
  id.writeUInt32BE(spi, 16);
  id.writeUInt16LE(familyOf(to), 20);
  id.writeUInt8(PROTOCOL_ESP, 22);
  return id;
}

/** Payload of {@link XFRM.putPolicy}. */
export function putPolicy(policy: Policy): Buffer {
  const { direction, from, to, interfaceId } = policy;
  const info = Buffer.alloc(POLICY_BYTES);
  writeSelector(info, policy);
  writeLimits(info, SELECTOR_BYTES);
  info.writeUInt32LE(PRIORITY, 152);
  info.writeUInt8(DIRECTIONS[direction], 160);
  const template = Buffer.alloc(TEMPLATE_BYTES);
  writeId(template, 0, to, 0);
  template.writeUInt16LE(familyOf(to), 24);
  writeAddress(template, 28, from);
  template.writeUInt32LE(interfaceId, 44);
  template.writeUInt8(MODE_TUNNEL, 48);
  for (const at of [52, 56, 60]) template.writeUInt32LE(ANY_ALGORITHM, at);
  return Buffer.concat([
    info,
    attribute(ATTRIBUTE.templates, template),
    u32(ATTRIBUTE.interface, interfaceId),
  ]);
}

/** Payload of {@link XFRM.deletePolicy}. */
export function deletePolicy(policy: PolicyId): Buffer {
  const id = Buffer.alloc(POLICY_ID_BYTES);
  writeSelector(id, policy);
  id.writeUInt8(DIRECTIONS[policy.direction], 60);
  return Buffer.concat([id, u32(ATTRIBUTE.interface, policy.interfaceId)]);
}

/** The association of a listing's entry; undefined if it is not of this interface. */
export function readAssociation(payload: Buffer, interfaceId: number): AssociationId | undefined {
  if (!isOfInterface(payload.subarray(ASSOCIATION_BYTES), interfaceId)) return undefined;
  const spi = payload.readUInt32BE(SELECTOR_BYTES + ADDRESS_BYTES);
  const to = readAddress(payload, SELECTOR_BYTES, payload.readUInt16LE(212));
  return to === undefined || spi === 0 ? undefined : { to, spi };
}

/** The policy of a listing's entry; undefined if it is not of this interface. */
export function readPolicy(payload: Buffer, interfaceId: number): PolicyId | undefined {
  if (!isOfInterface(payload.subarray(POLICY_BYTES), interfaceId)) return undefined;
  const isOut = payload.readUInt8(160) === DIRECTIONS.out;
  if (!isOut && payload.readUInt8(160) !== DIRECTIONS.forward) return undefined;
  const address = readAddress(payload, isOut ? 0 : ADDRESS_BYTES, payload.readUInt16LE(40));
  if (address === undefined) return undefined;
  return { direction: isOut ? 'out' : 'forward', address, interfaceId };
}

function isOfInterface(attributes: Buffer, interfaceId: number): boolean {
  return (
    attributeValue(readAttributes(attributes), ATTRIBUTE.interface)?.readUInt32LE(0) === interfaceId
  );
}

/** One address at one end, any at the other. */
function writeSelector(bytes: Buffer, { direction, address }: Omit<PolicyId, 'interfaceId'>): void {
  const isOut = direction === 'out';
  writeAddress(bytes, isOut ? 0 : ADDRESS_BYTES, address);
  bytes.writeUInt16LE(familyOf(address), 40);
  bytes.writeUInt8(isIpv6(address) ? 128 : 32, isOut ? 42 : 43);
}

/** `struct xfrm_id`. */
function writeId(bytes: Buffer, at: number, to: IpAddress, spi: number): void {
  writeAddress(bytes, at, to);
  bytes.writeUInt32BE(spi, at + ADDRESS_BYTES);
  bytes.writeUInt8(PROTOCOL_ESP, at + 20);
}

/** No limit of bytes, packets or time. */
function writeLimits(bytes: Buffer, at: number): void {
  for (let i = 0; i < 4; i += 1) bytes.writeBigUInt64LE(NO_LIMIT, at + i * 8);
}

function writeAddress(bytes: Buffer, at: number, address: IpAddress): void {
  bytes.set(addressBytes(address), at);
}

function readAddress(bytes: Buffer, at: number, family: number): IpAddress | undefined {
  if (family === AF_INET) return parseIpAddress(bytes.subarray(at, at + 4).join('.'));
  if (family !== AF_INET6) return undefined;
  const hex = bytes.subarray(at, at + ADDRESS_BYTES).toString('hex');
  return parseIpAddress(hex.replace(/(....)(?!$)/g, '$1:'));
}

function familyOf(address: IpAddress): number {
  return isIpv6(address) ? AF_INET6 : AF_INET;
}
