import test from 'ava';
import { proxyHeader } from '../src/balancer/userspace/proxy-header.js';

const V4 = {
  remoteAddress: '192.0.2.7',
  remotePort: 51_000,
  localAddress: '198.51.100.1',
  localPort: 443,
};
const V6 = {
  remoteAddress: '2001:db8::7',
  remotePort: 51_000,
  localAddress: 'fe80::1%eth0',
  localPort: 443,
};
const hex = (header: Uint8Array): string => Buffer.from(header).toString('hex');
const SIGNATURE = '0d0a0d0a000d0a515549540a';

test('version 1 is a line', (t) => {
  t.is(String(proxyHeader('v1', V4)), 'PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n');
  t.is(String(proxyHeader('v1', V6)), 'PROXY TCP6 2001:db8::7 fe80::1 51000 443\r\n');
});

test('version 2 is bytes', (t) => {
  t.is(hex(proxyHeader('v2', V4)), `${SIGNATURE}2111000cc0000207c6336401c73801bb`);
  const source = '20010db8000000000000000000000007';
  const own = 'fe800000000000000000000000000001';
  t.is(hex(proxyHeader('v2', V6)), `${SIGNATURE}21210024${source}${own}c73801bb`);
});

test('of a client that is gone, nothing is said', (t) => {
  t.is(String(proxyHeader('v1', {})), 'PROXY UNKNOWN\r\n');
  t.is(hex(proxyHeader('v2', {})), `${SIGNATURE}20000000`);
});
