import test from 'ava';
import { contains, firstHost, parseNetwork, taskAddresses } from '../src/address.js';
import { peerMac, peerMark, taskLinkName, taskMacs } from '../src/layout.js';

test('a node index goes into mark and MAC without loss, up to 4095', (t) => {
  t.is(peerMark(1), 0x00100000);
  t.is(peerMark(4095), 0xfff00000);
  t.is(peerMac(1), '02:00:00:00:00:01');
  t.is(peerMac(4095), '02:00:00:00:0f:ff');
});

test('a link name fits into the kernel limit of 15 characters', (t) => {
  t.is(taskLinkName('a0b1c2d3e4f5g6h7i8j9k0l1m'), 'swta0b1c2d3e4f5');
  t.true(taskLinkName('a0b1c2d3e4f5g6h7i8j9k0l1m').length <= 15);
});

test('both ends of a link have MACs of their own, from the address', (t) => {
  t.deepEqual(taskMacs('10.240.3.7'), { host: '02:01:0a:f0:03:07', task: '02:02:0a:f0:03:07' });
});

test('a block gives the node its first address and tasks the rest', (t) => {
  t.is(firstHost('10.240.3.0/24'), '10.240.3.1');
  const tasks = taskAddresses('10.240.3.0/24');
  t.deepEqual([tasks[0], tasks.at(-1), tasks.length], ['10.240.3.2', '10.240.3.254', 253]);
});

test('a network knows its addresses and refuses what is none', (t) => {
  const network = parseNetwork('10.240.0.0/12');
  t.true(contains(network, '10.255.255.255'));
  t.false(contains(network, '10.239.255.255'));
  t.false(contains(network, '::1'));
  for (const wrong of ['10.240.0.1/24', '10.240.0.0', '10.240.0.0/33', 'fd00::/8', '']) {
    t.throws(() => parseNetwork(wrong), { instanceOf: RangeError }, wrong);
  }
});
