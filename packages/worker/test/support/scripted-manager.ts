import { once } from 'node:events';
import type {
  AgentHello,
  AgentMessage,
  AssignmentChange,
  Assignments,
  ManagerAddress,
  ManagerMessage,
  Task,
  TaskStatus,
} from '@swarm/api';
import { Msgpack, readAgentFrame } from '@swarm/api/wire';
import { type WebSocket, WebSocketServer } from 'ws';
import { until } from '@swarm/sim';
import { makeNode } from './make-task.js';

const msgpack = new Msgpack();

/** A manager that does what the test says, over a real socket on loopback. */
export class ScriptedManager {
  readonly #server: WebSocketServer;
  readonly address: ManagerAddress;
  readonly received: AgentMessage[] = [];
  /** Hellos of all sessions. */
  readonly hellos: AgentHello[] = [];
  /** Newest status of each task, as reported in this session. */
  readonly statuses = new Map<string, TaskStatus>();
  /** What a hello is answered with. */
  onHello: (hello: AgentHello) => void = () => this.welcome();
  heartbeatMs = 1_000;
  answerHeartbeats = true;
  acknowledge = true;
  socket: WebSocket | undefined;
  #number = 0;

  private constructor(server: WebSocketServer, port: number) {
    this.#server = server;
    this.address = { nodeId: `manager${port}`, address: `127.0.0.1:${port}` };
    server.on('connection', (socket) => {
      this.socket = socket;
      this.statuses.clear();
      this.#number = 0;
      // As every manager reads it: what an agent should not have sent, throws.
      socket.on('message', (data: Buffer) => this.#receive(readAgentFrame(msgpack, data)));
    });
  }

  static async listen(): Promise<ScriptedManager> {
    const server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      // The highest that it is offered, as every manager of this code chooses.
      handleProtocols: (offered) => [...offered].at(-1) ?? false,
    });
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new ScriptedManager(server, address.port);
  }

  send(message: ManagerMessage): void {
    this.socket?.send(msgpack.pack(message));
  }

  welcome(change: Partial<Extract<ManagerMessage, { type: 'welcome' }>> = {}): void {
    this.send({
      type: 'welcome',
      sessionId: 'session1',
      heartbeatMs: this.heartbeatMs,
      node: makeNode(),
      managers: [this.address],
      ...change,
    });
  }

  /** Replaces all of the node's tasks. */
  assignAll(tasks: readonly Task[]): void {
    this.change('complete', tasks.map(putTask));
  }

  assign(update: readonly Task[], remove: readonly string[] = []): void {
    const removals = remove.map((id) => ({ kind: 'task', action: 'remove', id }) as const);
    this.change('incremental', [...removals, ...update.map(putTask)]);
  }

  /** The next message of assignments. */
  change(set: Assignments['set'], changes: readonly AssignmentChange[]): void {
    const appliesTo = this.#number;
    this.#number += 1;
    this.send({ type: 'assignments', set, appliesTo, resultsIn: this.#number, changes });
  }

  all<T extends AgentMessage['type']>(type: T): Extract<AgentMessage, { type: T }>[] {
    return this.received.filter(
      (message): message is Extract<AgentMessage, { type: T }> => message.type === type,
    );
  }

  async untilStatus(taskId: string, state: string): Promise<TaskStatus> {
    await until(`${taskId} is ${state}`, () => this.statuses.get(taskId)?.State === state);
    return this.statuses.get(taskId)!;
  }

  async close(): Promise<void> {
    for (const client of this.#server.clients) client.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #receive(message: AgentMessage): void {
    this.received.push(message);
    if (message.type === 'hello') {
      this.hellos.push(message);
      this.onHello(message);
    } else if (message.type === 'heartbeat' && this.answerHeartbeats) {
      this.send({ type: 'heartbeat-ack', heartbeatMs: this.heartbeatMs });
    } else if (message.type === 'status') {
      for (const { taskId, status } of message.updates) this.statuses.set(taskId, status);
      if (this.acknowledge) this.send({ type: 'status-ack', sequence: message.sequence });
    }
  }
}

export function putTask(object: Task): AssignmentChange {
  return { kind: 'task', action: 'put', object };
}
