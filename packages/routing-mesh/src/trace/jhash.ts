import type { IpAddress } from '@swarm/api';
import { addressBytes } from '../address.js';

const INITIAL = 0xdeadbeef;

/** Bob Jenkins' lookup3 of an address, as the kernel's `jhash` computes it for `jhash ip saddr`. */
export function jhash(address: IpAddress, seed: number): number {
  const bytes = addressBytes(address);
  const word = (at: number): number =>
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0;
  let a = (INITIAL + bytes.length + seed) >>> 0;
  let b = a;
  let c = a;
  let at = 0;
  while (bytes.length - at > 12) {
    [a, b, c] = mix(a + word(at), b + word(at + 4), c + word(at + 8));
    at += 12;
  }
  return last(a + word(at), b + word(at + 4), c + word(at + 8));
}

/** Maps a hash evenly to 0 up to `count` less one. */
export function reciprocalScale(hash: number, count: number): number {
  return Number((BigInt(hash) * BigInt(count)) >> 32n);
}

function rotate(value: number, bits: number): number {
  return ((value << bits) | (value >>> (32 - bits))) >>> 0;
}

function mix(a: number, b: number, c: number): [number, number, number] {
  a = (a - c) ^ rotate(c >>> 0, 4);
  c += b;
  b = (b - a) ^ rotate(a >>> 0, 6);
  a += c;
  c = (c - b) ^ rotate(b >>> 0, 8);
  b += a;
  a = (a - c) ^ rotate(c >>> 0, 16);
  c += b;
  b = (b - a) ^ rotate(a >>> 0, 19);
  a += c;
  c = (c - b) ^ rotate(b >>> 0, 4);
  b += a;
  return [a >>> 0, b >>> 0, c >>> 0];
}

function last(a: number, b: number, c: number): number {
  const step = (x: number, y: number, bits: number): number =>
    ((x ^ y) - rotate(y >>> 0, bits)) | 0;
  c = step(c, b, 14);
  a = step(a, c, 11);
  b = step(b, a, 25);
  c = step(c, b, 16);
  a = step(a, c, 4);
  b = step(b, a, 14);
  c = step(c, b, 24);
  return c >>> 0;
}
