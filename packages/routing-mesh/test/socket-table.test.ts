import test from 'ava';
import { ip } from './support/checked.js';
import { parseSocketTable } from '../src/probe/socket-table.js';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';

test('a socket table gives address, port, state and what is not acknowledged', (t) => {
  const text =
    HEAD +
    '   0: 0200F00A:0050 640012C6:B26E 01 00000010:00000000 00:00000000 00000000     0        0 1\n' +
    '   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2\n';
  t.deepEqual(parseSocketTable(text), [
    { localAddress: ip('10.240.0.2'), localPort: 80, state: 1, sendQueueBytes: 16, inode: '1' },
    { localAddress: ip('0.0.0.0'), localPort: 8080, state: 10, sendQueueBytes: 0, inode: '2' },
  ]);
});

test('an IPv4 connection of an IPv6 socket counts by its IPv4 address', (t) => {
  const text =
    HEAD +
    '   0: 0000000000000000FFFF00000200F00A:0050 0000000000000000FFFF0000640012C6:B26E 08 00000000:00000000 00:00000000 00000000 0 0 1\n';
  t.like(parseSocketTable(text)[0], { localAddress: ip('10.240.0.2'), localPort: 80, state: 8 });
});

test('an IPv6 address is read in its one spelling', (t) => {
  const text =
    HEAD +
    '   0: 000000FD000000000000000007000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n' +
    '   1: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n';
  t.deepEqual(
    parseSocketTable(text).map(({ localAddress }) => localAddress),
    [ip('fd00::7'), ip('::')],
  );
});

test('an empty table and a broken line give nothing', (t) => {
  t.deepEqual(parseSocketTable(''), []);
  t.deepEqual(parseSocketTable(`${HEAD}nonsense\n`), []);
});
