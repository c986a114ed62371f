import {
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
} from 'node:crypto';
import type { TunnelKey } from '../netlink/wireguard.js';
import { ESP_KEY_BYTES } from '../netlink/xfrm.js';

const KEY_BYTES = 32;
const SPI_BYTES = 4;
/** SPIs below 256 are reserved (RFC 4303, section 2.1), and key exchange programs take low ones first. */
const SPI_BIT = 0x8000_0000;
/** What keys are for: they are useless for anything else. */
const PURPOSE = 'swarm esp 1';

/** A node's X25519 key pair. The private key never leaves the node. */
export interface TunnelKeyPair {
  readonly publicKey: TunnelKey;
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
}

/** The public part of one end of a pair of nodes. */
export interface PairEnd {
  readonly publicKey: TunnelKey;
  /** Names a time during which the node counts its packets; never used twice by a node. */
  readonly epoch: string;
}

/** Parses a public key: 32 bytes in base64. */
export function parseTunnelKey(text: unknown): TunnelKey | undefined {
  if (typeof text !== 'string' || text.length !== 44) return undefined;
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== KEY_BYTES || bytes.toString('base64') !== text) return undefined;
  return bytes.every((byte) => byte === 0) ? undefined : (text as TunnelKey);
}

/**
 * What only these two nodes can compute (RFC 7748, section 6.1).
 * @throws when the other's key is one that nobody can have made
 */
export function agree(own: TunnelKeyPair, other: TunnelKey): Buffer {
  const url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
  const curve = { kty: 'OKP', crv: 'X25519' };
  const x = url(Buffer.from(own.publicKey, 'base64'));
  const privateKey = createPrivateKey({
    key: { ...curve, x, d: url(own.privateKey) },
    format: 'jwk',
  });
  const publicKey = createPublicKey({
    key: { ...curve, x: url(Buffer.from(other, 'base64')) },
    format: 'jwk',
  });
  return diffieHellman({ privateKey, publicKey });
}

/**
 * Key and name of the packets from one node to another. Each direction has its own, and both change with the epoch of
 * either: a node that counts its packets from one again never does so with a key that it has used (NIST SP 800-38D,
 * section 8).
 * @param secret of `agree`
 */
export function directionKey(
  secret: Uint8Array,
  from: PairEnd,
  to: PairEnd,
): { readonly key: Buffer; readonly spi: number } {
  const ends = [from.publicKey, to.publicKey, from.epoch, to.epoch];
  const info = createHash('sha256')
    .update([PURPOSE, ...ends].map((part) => `${part.length}:${part}`).join(','))
    .digest();
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', info, ESP_KEY_BYTES + SPI_BYTES));
  const spi = (bytes.readUInt32BE(ESP_KEY_BYTES) | SPI_BIT) >>> 0;
  return { key: bytes.subarray(0, ESP_KEY_BYTES), spi };
}
