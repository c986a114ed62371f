import type { IncomingMessage } from 'node:http';
import test from 'ava';
import { PEER_HEADER, readPeer, writePeer } from '../../src/assembly/forwarded.js';

const read = (header: string) =>
  readPeer({ headers: { [PEER_HEADER]: header } } as unknown as IncomingMessage);

test('whom a manager had at the other end is read as it was written', (t) => {
  const subject = { nodeId: 'node1', role: 'worker', clusterId: 'cluster' } as const;
  const proof = { subject, issuedAtMs: 1, expiresAtMs: 2 };
  t.deepEqual(read(writePeer({ remoteAddress: '198.18.0.1', proof })), {
    remoteAddress: '198.18.0.1',
    proof,
  });
});

test('an address of any form that a socket has can be sent on', (t) => {
  for (const [given, sent] of [
    ['::ffff:198.18.0.1', '198.18.0.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['', ''],
  ] as const)
    t.deepEqual(read(writePeer({ remoteAddress: given })), { remoteAddress: sent });
});
