import { once } from 'node:events';
import { createServer, get, request as httpRequest } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server as NetServer,
} from 'node:net';
import { systemClock } from '@swarm/api';
import test from 'ava';
import { AnswerLostError } from '@swarm/http';
import { tlsServerOptions } from '@swarm/identity';
import { until } from '@swarm/sim';
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

test('a lost answer tells whether the leader may have done what it was asked', async (t) => {
  const authority = await root(Date.now());
  const leaderId = await identity(authority, Date.now(), { nodeId: 'leader', role: 'manager' });
  const own = await identity(authority, Date.now(), { nodeId: 'follower', role: 'manager' });
  const leader = createTlsServer(tlsServerOptions(leaderId), (request, response) => {
    if (request.url === '/good') response.end('done');
    else request.socket.destroy();
  });
  // It accepts connections and answers no handshake, like one that is just going down.
  const deaf = createTcpServer((socket) => socket.once('data', () => socket.destroy()));
  const nobody = createTcpServer();
  const gone = await listening(nobody);
  nobody.close();
  const ports = { leader: await listening(leader), deaf: await listening(deaf), gone };
  let port = ports.leader;
  const link = new HttpsLeaderLink(
    () => own,
    systemClock(),
    () => ({ nodeId: 'leader', address: `127.0.0.1:${port}` }),
  );
  const outcomes: unknown[] = [];
  const follower = createServer((request, response) => {
    link.forward(request, response, {}, Buffer.alloc(0), { from: 'clients' }).then(
      () => outcomes.push('answered'),
      (error: unknown) => {
        outcomes.push(error);
        response.destroy();
      },
    );
  });
  const followerPort = await listening(follower);
  t.teardown(() => {
    link.close();
    for (const server of [leader, follower]) {
      server.close();
      server.closeAllConnections();
    }
    deaf.close();
  });
  const ask = async (method: string, path: string): Promise<unknown> => {
    const before = outcomes.length;
    const asking = httpRequest({ port: followerPort, path, method, agent: false });
    asking.on('error', () => {});
    asking.on('response', (answer) => answer.resume());
    asking.end();
    await until('it is over', () => outcomes.length > before);
    return outcomes[before];
  };
  const mayBeDone = async (method: string, path = '/'): Promise<boolean> => {
    const error = await ask(method, path);
    t.true(error instanceof AnswerLostError, String(error));
    return (error as AnswerLostError).mayBeDone;
  };
  t.true(await mayBeDone('POST'));
  t.false(await mayBeDone('GET'), 'a read does nothing');
  t.is(await ask('POST', '/good'), 'answered');
  t.true(await mayBeDone('POST'), 'over a connection that was kept');
  for (const name of ['deaf', 'gone'] as const) {
    port = ports[name];
    t.false(await mayBeDone('POST'), name);
  }
});

async function listening(server: Pick<NetServer, 'listen' | 'address' | 'once'>): Promise<number> {
  await new Promise<void>((resolve) => {
    server.once('listening', resolve);
    server.listen(0, '127.0.0.1');
  });
  return (server.address() as AddressInfo).port;
}
