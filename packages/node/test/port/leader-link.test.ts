import { once } from 'node:events';
import { createServer, get, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@swarm/api';
import test from 'ava';
import { tlsServerOptions } from '@swarm/identity';
import { MANAGER_CLIENT_SHARE } from '../../src/port/connection-budgets.js';
import { LEADER_SOCKETS_LIMITS, HttpsLeaderLink } from '../../src/port/leader-link.js';
import { identity, root } from '@swarm/manager/testing';

test('streaming clients do not keep nodes waiting for the leader', async (t) => {
  const authority = await root(Date.now());
  const leaderId = await identity(authority, Date.now(), { nodeId: 'leader', role: 'manager' });
  const own = await identity(authority, Date.now(), { nodeId: 'follower', role: 'manager' });
  let streams = 0;
  const leader = createTlsServer(tlsServerOptions(leaderId), (request, response) => {
    if (request.url === '/raft/probe')
      response.end(JSON.stringify({ nodeId: 'leader', leads: true, reachable: [] }));
    else if (request.url === '/ca/certificates') response.end('certified');
    else streams += 1;
  });
  const address = `127.0.0.1:${await listening(leader)}`;
  const link = new HttpsLeaderLink(
    () => own,
    systemClock(),
    () => ({ nodeId: 'leader', address }),
    { clients: 2, nodes: 2 },
  );
  const follower = createServer((request, response) => {
    const from = request.url === '/ca/certificates' ? 'nodes' : 'clients';
    link.forward(request, response, {}, Buffer.alloc(0), { from }).catch(() => response.destroy());
  });
  const port = await listening(follower);
  t.teardown(() => {
    link.close();
    for (const server of [leader, follower]) {
      server.close();
      server.closeAllConnections();
    }
  });
  const asking = Array.from({ length: 5 }, () => get({ port, path: '/logs', agent: false }));
  for (const each of asking) each.on('error', () => {});
  const deadline = Date.now() + 5000;
  while (streams < 2 && Date.now() < deadline) await new Promise((r) => setTimeout(r, 5));
  t.is(streams, 2);
  t.true(await link.answers());
  const [answer] = await once(get({ port, path: '/ca/certificates', agent: false }), 'response');
  t.is((answer as { statusCode: number }).statusCode, 200);
});

test('a follower opens no more connections to its leader than the leader accepts', (t) => {
  const { clients, nodes } = LEADER_SOCKETS_LIMITS;
  t.true(clients + nodes <= MANAGER_CLIENT_SHARE);
});

async function listening(server: Pick<Server, 'listen' | 'address' | 'once'>): Promise<number> {
  await new Promise<void>((resolve) => {
    server.once('listening', resolve);
    server.listen(0, '127.0.0.1');
  });
  return (server.address() as AddressInfo).port;
}
