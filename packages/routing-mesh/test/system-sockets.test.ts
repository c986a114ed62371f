import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { until } from '@swarm/sim';
import test from 'ava';
import { systemSockets } from '../src/index.js';
import { ip } from './support/checked.js';

/** The kernel refuses to connect a socket to it, as to an address without a route. */
const UNREACHABLE = ip('255.255.255.255');

test('a target that cannot be reached: failed, never ready', async (t) => {
  const calls: string[] = [];
  const socket = systemSockets().connectDatagrams(
    { address: UNREACHABLE, port: 53 },
    {
      ready: () => calls.push('ready'),
      receive: () => calls.push('receive'),
      failed: () => calls.push('failed'),
    },
  );
  await until('it is told', () => calls.length > 0);
  t.deepEqual(calls, ['failed']);
  socket.close();
});

test('a target that can be reached: ready, and what is sent arrives', async (t) => {
  const server = createSocket('udp4').bind(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = systemSockets().connectDatagrams(
    { address: ip('127.0.0.1'), port: server.address().port },
    { ready: () => socket.send(Buffer.from('hello')), receive() {}, failed: () => t.fail() },
  );
  const [data] = await once(server, 'message');
  t.is(String(data), 'hello');
  socket.close();
  server.close();
});
