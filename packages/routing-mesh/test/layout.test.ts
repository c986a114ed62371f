import test from 'ava';
import { Subnet } from '@swarm/api';
import { nodeAddress, subnetText, taskAddresses } from '../src/address.js';
import {
  isTaskLinkName,
  parseTaskId,
  peerMac,
  peerMark,
  taskLinkName,
  taskMacs,
} from '../src/layout.js';
import { cidr, ipv4 } from './support/checked.js';

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

test('both ends of a link have MACs of their own, from the address', (t) => {
  t.deepEqual(taskMacs(ipv4('10.240.3.7')) as object, {
    host: '02:01:0a:f0:03:07',
    task: '02:02:0a:f0:03:07',
  });
});

test('a block gives the node its first address and tasks the rest', (t) => {
  t.is<string, string>(nodeAddress(cidr('10.240.3.0/24')), '10.240.3.1');
  const tasks: string[] = taskAddresses(cidr('10.240.3.0/24'));
  t.deepEqual([tasks[0], tasks.at(-1), tasks.length], ['10.240.3.2', '10.240.3.254', 253]);
});

test('only an IPv4 subnet becomes a word of commands', (t) => {
  t.is<string | undefined, string>(subnetText(Subnet.of('10.240.0.0/12')), '10.240.0.0/12');
  t.is(subnetText(Subnet.of('fd00::/8')), undefined);
  t.is(subnetText(undefined), undefined);
});
