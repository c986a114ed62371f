import type { IpAddress } from '@swarm/api';
import type { PeerChange, TunnelKey, UdpEndpoint } from '../netlink/wireguard.js';

/** A peer of the device, as it is or as it should be. */
export interface PlannedPeer {
  readonly endpoint: UdpEndpoint | undefined;
  readonly allowed: ReadonlySet<IpAddress>;
}

export type PlannedPeers = ReadonlyMap<TunnelKey, PlannedPeer>;

/**
 * A key to which nobody has the private one. Kernels of before 6.16 can take an address from a peer only by giving it to
 * another: addresses that are no longer in use go to this one, which is then removed with them.
 */
export const NOBODY = Buffer.from('nobody has this key of the swarm').toString(
  'base64',
) as TunnelKey;

/** Any number but 0: the kernel then sends a packet at once, which makes both ends agree on keys. */
const KEEPALIVE_SECONDS = 25;
/** Of one message; an attribute has at most 65,535 bytes. */
const MESSAGE_LIMIT_BYTES = 32 * 1024;
/** Roughly what a peer and an address of it take in a message. */
const PEER_BYTES = 100;
const ADDRESS_BYTES = 44;
const ADDRESSES_OF_MESSAGE = Math.floor((MESSAGE_LIMIT_BYTES - PEER_BYTES) / ADDRESS_BYTES);

/**
 * What turns the peers of a device into others, in this order. An address that moves between peers is with one of them
 * at any time. A peer that comes in place of another at the same endpoint has a new key: it gets a packet at once.
 */
export function planPeers(held: PlannedPeers, wanted: PlannedPeers): PeerChange[] {
  const changes: PeerChange[] = [];
  const owner = new Map<IpAddress, TunnelKey>();
  for (const [key, { allowed }] of wanted) for (const address of allowed) owner.set(address, key);
  const left = new Set<string>();
  const unused: IpAddress[] = [];
  for (const [key, { endpoint, allowed }] of held) {
    if (!wanted.has(key)) {
      if (endpoint !== undefined) left.add(endpoint.address);
      continue;
    }
    for (const address of allowed) if (!owner.has(address)) unused.push(address);
  }
  for (const [publicKey, { endpoint, allowed }] of wanted) {
    const before = held.get(publicKey);
    const added = [...allowed].filter((address) => before?.allowed.has(address) !== true);
    const isMoved = endpoint !== undefined && !sameEndpoint(endpoint, before?.endpoint);
    if (before !== undefined && !isMoved && added.length === 0) continue;
    changes.push({ publicKey, ...(isMoved && { endpoint }), allowed: added });
    if (before !== undefined || endpoint === undefined || !left.has(endpoint.address)) continue;
    changes.push({ publicKey, keepaliveSeconds: KEEPALIVE_SECONDS });
    changes.push({ publicKey, keepaliveSeconds: 0 });
  }
  if (unused.length > 0) {
    changes.push({ publicKey: NOBODY, allowed: unused }, { publicKey: NOBODY, isRemoved: true });
  }
  for (const publicKey of held.keys()) {
    if (!wanted.has(publicKey)) changes.push({ publicKey, isRemoved: true });
  }
  return changes;
}

/** Divides changes into messages that are not too long. */
export function divideChanges(changes: readonly PeerChange[]): PeerChange[][] {
  const messages: PeerChange[][] = [];
  let message: PeerChange[] = [];
  let size = 0;
  for (const change of changes) {
    const { allowed = [], ...rest } = change;
    for (let at = 0; at === 0 || at < allowed.length; at += ADDRESSES_OF_MESSAGE) {
      const part = allowed.slice(at, at + ADDRESSES_OF_MESSAGE);
      const bytes = PEER_BYTES + part.length * ADDRESS_BYTES;
      if (size > 0 && size + bytes > MESSAGE_LIMIT_BYTES) {
        messages.push(message);
        message = [];
        size = 0;
      }
      message.push({ ...rest, allowed: part });
      size += bytes;
    }
  }
  if (message.length > 0) messages.push(message);
  return messages;
}

function sameEndpoint(a: UdpEndpoint, b: UdpEndpoint | undefined): boolean {
  return b !== undefined && a.address === b.address && a.port === b.port;
}
