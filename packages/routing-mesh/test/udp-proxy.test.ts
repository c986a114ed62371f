import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import { until, VirtualClock } from '@swarm/sim';
import { ip } from './support/checked.js';
import { systemSockets } from '../src/index.js';
import { UdpProxy } from '../src/balancer/userspace/udp-proxy.js';

async function echo(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (data, from) => socket.send(data, from.port, from.address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

test('a silent client is forgotten after the idle time, one that talks is not', async (t) => {
  const clock = new VirtualClock();
  const server = await echo();
  const spare = createSocket('udp4').bind(0, '127.0.0.1');
  await once(spare, 'listening');
  const { port } = spare.address();
  spare.close();
  await once(spare, 'close');
  const proxy = new UdpProxy({
    bindAddresses: ['127.0.0.1'],
    port,
    sockets: systemSockets(),
    clock,
    random: () => 0,
    idleMs: 1000,
  });
  await proxy.update([
    { nodeId: 'n', address: ip('127.0.0.1'), port: server.address().port, name: 't', weight: 1 },
  ]);
  const clients = [createSocket('udp4'), createSocket('udp4')];
  const talk = async (client: Socket): Promise<void> => {
    client.send('hello', port, '127.0.0.1');
    await once(client, 'message');
  };
  for (const client of clients) await talk(client);
  t.is(proxy.connectionCount, 2);
  await clock.advance(600);
  await talk(clients[0]!);
  await clock.advance(500);
  t.is(proxy.connectionCount, 1);
  await clock.advance(1000);
  t.is(proxy.connectionCount, 0);
  await talk(clients[1]!);
  t.is(proxy.connectionCount, 1);
  await proxy.close();
  t.is(proxy.connectionCount, 0);
  for (const socket of [...clients, server]) socket.close();
});

test('a datagram for a target without a route is lost, and the next one goes to another target', async (t) => {
  const sockets = systemSockets();
  const sessions: string[] = [];
  const server = await echo();
  const spare = createSocket('udp4').bind(0, '127.0.0.1');
  await once(spare, 'listening');
  const { port } = spare.address();
  spare.close();
  await once(spare, 'close');
  const proxy = new UdpProxy({
    bindAddresses: ['127.0.0.1'],
    port,
    sockets: {
      ...sockets,
      connectDatagrams(to, events) {
        sessions.push(String(to.address));
        return sockets.connectDatagrams(to, events);
      },
    },
    clock: new VirtualClock(),
    random: () => 0,
    idleMs: 1000,
  });
  // No socket can be connected to the broadcast address.
  await proxy.update([
    { nodeId: 'n', address: ip('255.255.255.255'), port: 53, name: 't', weight: 1 },
  ]);
  const client = createSocket('udp4');
  client.send('lost', port, '127.0.0.1');
  await until('the session failed', () => sessions.length > 0 && proxy.connectionCount === 0);
  await proxy.update([
    { nodeId: 'n', address: ip('127.0.0.1'), port: server.address().port, name: 't', weight: 1 },
  ]);
  client.send('hello', port, '127.0.0.1');
  const [data] = await once(client, 'message');
  t.is(String(data), 'hello');
  await proxy.close();
  for (const socket of [client, server]) socket.close();
});
