import test from 'ava';
import {
  contains,
  firstHost,
  isTaskAddress,
  networkOf,
  parseCidr,
  taskAddresses,
} from '../src/address.js';
import {
  isTaskLinkName,
  parseTaskId,
  peerMac,
  peerMark,
  peerSubnet,
  taskLinkName,
  taskMacs,
} from '../src/layout.js';
import { cidr, INGRESS, ip, ipv4 } from './support/checked.js';

test('a node index goes into mark and MAC without loss, up to 4095', (t) => {
  t.is(peerMark(1), 0x00100000);
  t.is(peerMark(4095), 0xfff00000);
  t.is<string, string>(peerMac(1), '02:00:00:00:00:01');
  t.is<string, string>(peerMac(4095), '02:00:00:00:0f:ff');
});

test('a link name fits into the kernel limit of 15 characters', (t) => {
  const link = taskLinkName(parseTaskId('a0b1c2d3e4f5g6h7i8j9k0l1m')!);
  t.is<string, string>(link, 'swta0b1c2d3e4f5');
  t.true(link.length <= 15);
  t.true(isTaskLinkName(link));
});

test('an invalid task id never becomes the name of a device', (t) => {
  for (const id of ['', 'a b', 'a\n', '-a', 'a/b', '..', 'a'.repeat(65), 7, undefined]) {
    t.is(parseTaskId(id), undefined, String(id));
  }
  for (const name of ['swt', 'eth0', 'swt-x', `swt${'a'.repeat(13)}`])
    t.false(isTaskLinkName(name));
});

test('the block of a node is the /24 of its index', (t) => {
  t.is<string, string>(peerSubnet(INGRESS, 3), '10.240.3.0/24');
  t.is<string, string>(peerSubnet(INGRESS, 4095), '10.255.255.0/24');
});

test('both ends of a link have MACs of their own, from the address', (t) => {
  t.deepEqual(taskMacs(ipv4('10.240.3.7')) as object, {
    host: '02:01:0a:f0:03:07',
    task: '02:02:0a:f0:03:07',
  });
});

test('a block gives the node its first address and tasks the rest', (t) => {
  t.is<string, string>(firstHost(cidr('10.240.3.0/24')), '10.240.3.1');
  const tasks: string[] = taskAddresses(cidr('10.240.3.0/24'));
  t.deepEqual([tasks[0], tasks.at(-1), tasks.length], ['10.240.3.2', '10.240.3.254', 253]);
});

test('a network knows its addresses and refuses others', (t) => {
  const network = networkOf(cidr('10.240.0.0/12'));
  t.true(contains(network, ip('10.255.255.255')));
  t.false(contains(network, ip('10.239.255.255')));
  t.false(contains(network, ip('::1')));
  for (const wrong of [
    '10.240.0.1/24',
    '10.240.0.0',
    '10.240.0.0/33',
    '10.240.0.0/24\n',
    '010.240.0.0/24',
    'fd00::/8',
    '',
  ]) {
    t.is(parseCidr(wrong), undefined, wrong);
  }
});

test('network, node and broadcast address of a block are no task’s', (t) => {
  const block = networkOf(cidr('10.240.3.0/24'));
  const may = ['10.240.3.0', '10.240.3.1', '10.240.3.2', '10.240.3.254', '10.240.3.255'].map(
    (text) => isTaskAddress(block, ip(text)),
  );
  t.deepEqual(may, [false, false, true, true, false]);
  t.false(isTaskAddress(block, ip('10.240.4.2')));
  t.false(isTaskAddress(block, ip('::2')));
});
