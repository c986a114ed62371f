import type { networkInterfaces } from 'node:os';
import test from 'ava';
import {
  advertiseAddress,
  dataPathAddress,
  listenAddress,
} from '../../src/membership/addresses.js';

const each = (address: string) => ({ address, family: address.includes(':') ? 'IPv6' : 'IPv4' });
/** A host with two networks, a VLAN on the second, and two addresses in that. */
const HOST = {
  lo: [{ ...each('127.0.0.1'), internal: true }],
  eth0: [each('192.0.2.1'), each('fe80::1')],
  eth1: [each('fe80::2'), each('2001:db8::1')],
  'eth1.7': [each('2001:db8:7::1'), each('198.51.100.1'), each('198.51.100.2')],
  down: [each('fe80::3')],
} as unknown as ReturnType<typeof networkInterfaces>;
const LISTEN = { host: '0.0.0.0', port: 2377 };

test('an interface may stand for its address wherever one is asked for', (t) => {
  t.deepEqual(listenAddress('eth0', HOST), { host: '192.0.2.1', port: 2377 });
  t.deepEqual(listenAddress('eth1.7:2400', HOST), { host: '198.51.100.1', port: 2400 });
  t.is(advertiseAddress('eth0', LISTEN, HOST), '192.0.2.1:2377');
  t.is(advertiseAddress('eth0:2400', LISTEN, HOST), '192.0.2.1:2400');
  t.is(advertiseAddress('eth1', LISTEN, HOST), '[2001:db8::1]:2377');
  t.is(dataPathAddress('eth1', '192.0.2.1:2377', HOST), '2001:db8::1');
  t.is(dataPathAddress('eth1.7', '192.0.2.1:2377', HOST), '198.51.100.1', 'the first IPv4 one');
  t.is(dataPathAddress('198.51.100.2', '192.0.2.1:2377', HOST), '198.51.100.2', 'or any by itself');
  t.is(dataPathAddress('', '192.0.2.1:2377', HOST), '192.0.2.1');
});

test('what is no address and has none is refused with the interfaces that there are', (t) => {
  const refusal = {
    message:
      /neither an IP address nor an interface with one \(interfaces: lo, eth0, eth1, eth1\.7, down\)/,
  };
  t.throws(() => listenAddress('eth9', HOST), refusal);
  t.throws(() => advertiseAddress('eth9:2377', LISTEN, HOST), refusal);
  t.throws(() => dataPathAddress('down', '192.0.2.1', HOST), refusal);
});

test('nobody can be reached at all addresses', (t) => {
  const refusal = { message: /non-zero IP address/ };
  t.throws(() => advertiseAddress('0.0.0.0', LISTEN, HOST), refusal);
  for (const text of ['0.0.0.0', '::']) {
    t.throws(() => dataPathAddress(text, '192.0.2.1', HOST), refusal);
  }
});
