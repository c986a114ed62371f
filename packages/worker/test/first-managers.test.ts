import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { dispatcherProtocols, PROGRAM } from '@swarm/api';
import { Msgpack, MSGPACK_DEPTH_LIMIT } from '@swarm/api/wire';
import test from 'ava';
import { type WebSocket as Socket, WebSocket, WebSocketServer } from 'ws';
import { open } from './support/agent-bench.js';
import { makeNode, makeTask } from './support/make-task.js';
import { until } from '@swarm/sim';

const msgpack = new Msgpack();
const LIMITS = { bytes: 1 << 20, values: 1 << 17, depth: MSGPACK_DEPTH_LIMIT };

interface Received {
  readonly type: string;
  readonly protocol?: unknown;
  readonly sequence?: number;
  readonly updates?: readonly { readonly taskId: string; readonly status: { State: string } }[];
}

/** Answers as managers did before subprotocols: they accept the first one offered, and ask the hello. */
class FirstManager {
  readonly #server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  readonly received: Received[] = [];
  readonly subprotocols: string[] = [];

  async listen(): Promise<string> {
    this.#server.on('connection', (socket) => {
      this.subprotocols.push(socket.protocol);
      socket.on('message', (data: Buffer) =>
        this.#answer(socket, msgpack.unpack(data, LIMITS) as Received),
      );
    });
    await once(this.#server, 'listening');
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  states(taskId: string): string[] {
    const updates = this.received.flatMap((message) => message.updates ?? []);
    return updates.filter((each) => each.taskId === taskId).map(({ status }) => status.State);
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }

  #answer(socket: Socket, message: Received): void {
    const send = (answer: object) => socket.send(msgpack.pack(answer));
    this.received.push(message);
    switch (message.type) {
      case 'hello':
        if (message.protocol !== 1) {
          const reason = `the node speaks protocol ${String(message.protocol)}, the managers 1`;
          send({ type: 'session-end', reason, fatal: false });
          return;
        }
        send({
          type: 'welcome',
          sessionId: 'session1',
          heartbeatMs: 1_000,
          node: makeNode(),
          managers: [],
        });
        send({
          type: 'assignments',
          kind: 'complete',
          appliesTo: 0,
          resultsIn: 1,
          update: [makeTask('t1')],
          remove: [],
        });
        return;
      case 'heartbeat':
        send({ type: 'heartbeat-ack', heartbeatMs: 1_000 });
        return;
      case 'status':
        send({ type: 'status-ack', sequence: message.sequence });
        return;
      default:
        // It ended a session for a message that it did not know.
        socket.close(1008);
    }
  }
}

test('A manager of before subprotocols holds a session of protocol 1', async (t) => {
  const manager = new FirstManager();
  const address = await manager.listen();
  const bench = await open(() => {}, {
    connect: () =>
      new WebSocket(`ws://${address}/dispatcher`, dispatcherProtocols(PROGRAM.Protocol)),
  });
  t.teardown(async () => {
    await bench.close();
    manager.close();
  });
  await until('the task runs', () => manager.states('t1').includes('running'));
  t.true(bench.agent.connected);
  t.deepEqual(manager.subprotocols, ['swarm.dispatcher.1']);
  const types = new Set(manager.received.map(({ type }) => type));
  t.deepEqual([...types].sort(), ['heartbeat', 'hello', 'status']);
});
