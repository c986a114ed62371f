import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { TcpProxy } from '../src/balancer/userspace/tcp-proxy.js';
import { systemSockets } from '../src/index.js';
import { ip } from './support/checked.js';

const DAY_MS = 86_400_000;

test('a connection that is half-closed, or silent, is not ended by the proxy', async (t) => {
  const clock = new VirtualClock();
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const spare = createServer().listen(0, '127.0.0.1');
  await once(spare, 'listening');
  const { port } = spare.address() as { port: number };
  spare.close();
  await once(spare, 'close');
  const proxy = new TcpProxy({
    bindAddresses: ['127.0.0.1'],
    port,
    sockets: systemSockets(),
    clock,
    random: () => 0,
  });
  const target = server.address() as { port: number };
  await proxy.update([
    { nodeId: 'n', address: ip('127.0.0.1'), port: target.port, name: 't', weight: 1 },
  ]);
  const open = async (): Promise<[Socket, Socket]> => {
    const client = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const [served] = (await once(server, 'connection')) as [Socket];
    client.write('?');
    await once(served, 'data');
    return [client, served];
  };
  const [half, answering] = await open();
  half.end();
  await once(answering, 'end');
  const [silent, idle] = await open();

  t.is(clock.pending, 0, 'nothing waits for them to move');
  await clock.advance(DAY_MS);
  t.is(proxy.connectionCount, 2);
  answering.end('late');
  t.is(String((await once(half, 'data'))[0]), 'late');
  idle.write('still here');
  t.is(String((await once(silent, 'data'))[0]), 'still here');
  await proxy.close();
  for (const socket of [half, answering, silent, idle]) socket.destroy();
  server.close();
});
