import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  type AgentHello,
  type AgentMessage,
  type AssignmentChange,
  type Assignments,
  DISPATCH_FRAME_LIMIT_BYTES,
  type Logger,
  type ManagerMessage,
  type NodeDescription,
  PROGRAM,
  silentLogger,
  type Task,
} from '@swarm/api';
import type { ExecutionContext } from 'ava';
import { Packr } from 'msgpackr';
import { WebSocket, WebSocketServer } from 'ws';
import { createDispatcher, type Dispatcher } from '../../src/dispatcher/index.js';
import type { Draft } from '../../src/store/store.js';
import { nodeDraft, taskDraft } from '../support/objects.js';
import { createTestStore, type TestStore } from '../support/test-store.js';
import { until, VirtualClock } from '@swarm/sim';
import { START_MS } from '../support/start-time.js';

const packr = new Packr({ useRecords: false });

export const DESCRIPTION: NodeDescription = nodeDraft('x').Description!;

type Of<T extends ManagerMessage['type']> = Extract<ManagerMessage, { type: T }>;

/** The agent's side of a session, over a real socket. */
export class TestAgent {
  readonly received: ManagerMessage[] = [];
  closed = false;
  /** Times that the manager asked for a sign of life. */
  pings = 0;
  readonly #socket: WebSocket;
  readonly #world: DispatcherWorld;
  #read = 0;
  /** Acknowledges mesh generations as they come. */
  acks = true;
  /** Acknowledges assignments as they come. */
  acksAssignments = true;

  constructor(world: DispatcherWorld, socket: WebSocket) {
    this.#world = world;
    this.#socket = socket;
    socket.on('message', (data) => {
      const message = packr.unpack(data as Buffer) as ManagerMessage;
      this.received.push(message);
      if (message.type === 'mesh' && this.acks) {
        this.send({ type: 'mesh-ack', generation: message.delta.generation });
      }
      if (message.type === 'assignments' && 'changes' in message && this.acksAssignments) {
        this.send({ type: 'assignments-ack', resultsIn: message.resultsIn });
      }
    });
    socket.on('ping', () => {
      this.pings += 1;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  send(message: AgentMessage): void {
    this.#socket.send(packr.pack(message));
  }

  raw(data: Buffer | string): void {
    this.#socket.send(data);
  }

  /** The next message of the type that was not read yet; those before are skipped. */
  async next<T extends ManagerMessage['type']>(type: T): Promise<Of<T>> {
    let found: ManagerMessage | undefined;
    await this.#world.until(() => {
      while (found === undefined && this.#read < this.received.length) {
        const message = this.received[this.#read++]!;
        if (message.type === type) found = message;
      }
      return found !== undefined;
    }, `a message of type ${type}`);
    return found as Of<T>;
  }

  of<T extends ManagerMessage['type']>(type: T): Of<T>[] {
    return this.received.filter((message) => message.type === type) as Of<T>[];
  }

  /** Messages with assignments, as protocol 2 has them. */
  assignments(): Assignments[] {
    return this.of('assignments').filter((message) => 'changes' in message);
  }

  close(code = 1000): void {
    this.#socket.close(code);
  }

  vanish(): void {
    this.#socket.terminate();
  }
}

/** A leader with its store and a virtual clock, and agents on real sockets. */
export class DispatcherWorld {
  readonly clock = new VirtualClock(START_MS);
  readonly store: TestStore = createTestStore({ clock: this.clock });
  readonly dispatcher: Dispatcher;
  /** Where nodes connect from; default 198.18.0.7. */
  readonly remoteAddresses = new Map<string, string>();
  /** Agreed on by nodes; default the newest. */
  readonly protocols = new Map<string, number>();
  /** Messages of agents that the dispatcher has handled. */
  handled = 0;
  /** Messages of warnings, with their fields. */
  readonly warnings: { readonly fields: object; readonly message: string }[] = [];
  readonly #server: WebSocketServer;
  readonly #t: ExecutionContext;

  private constructor(t: ExecutionContext, server: WebSocketServer) {
    this.#t = t;
    this.#server = server;
    const { clock, store } = this;
    const logger: Logger = {
      ...silentLogger,
      warn: (fields, message) => this.warnings.push({ fields, message }),
      child: () => logger,
    };
    this.dispatcher = createDispatcher({ store, clock, logger, randomBytes });
    server.on('connection', (socket, request) => {
      const nodeId = request.url!.slice(1);
      const remoteAddress = this.remoteAddresses.get(nodeId) ?? '198.18.0.7';
      const protocol = this.protocols.get(nodeId) ?? PROGRAM.Protocol.Newest;
      this.dispatcher.accept(socket, { nodeId, kind: 'worker', remoteAddress, protocol });
      socket.on('message', () => {
        this.handled += 1;
      });
    });
  }

  static async create(t: ExecutionContext): Promise<DispatcherWorld> {
    const maxPayload = DISPATCH_FRAME_LIMIT_BYTES;
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload });
    await once(server, 'listening');
    const world = new DispatcherWorld(t, server);
    t.teardown(async () => {
      await world.dispatcher.stop();
      for (const client of server.clients) client.terminate();
      server.close();
    });
    return world;
  }

  /** @param isDeaf whether it leaves pings unanswered, as a host that has crashed */
  async connect(nodeId: string, isDeaf = false): Promise<TestAgent> {
    const { port } = this.#server.address() as AddressInfo;
    const autoPong = !isDeaf;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/${nodeId}`, { autoPong });
    // Made before the socket is open, or a message that comes with the handshake is missed.
    const agent = new TestAgent(this, socket);
    await once(socket, 'open');
    this.#t.teardown(() => agent.vanish());
    return agent;
  }

  /** Connects, says hello, and waits for the welcome, mesh and assignments. */
  async join(nodeId: string, hello: Partial<AgentHello> = {}): Promise<TestAgent> {
    const agent = await this.connect(nodeId);
    agent.send(helloOf(hello));
    await agent.next('assignments');
    return agent;
  }

  /** Runs real I/O, with time standing still, until the condition holds. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const look = async (): Promise<boolean> => {
      if (condition()) return true;
      await this.clock.settle();
      return false;
    };
    await until(what, look, { everyMs: 1 });
  }

  /** Lets frames that are under way arrive: a heartbeat there and back, behind all before it. */
  async roundTrip(agent: TestAgent): Promise<void> {
    const before = agent.of('heartbeat-ack').length;
    agent.send({ type: 'heartbeat' });
    await this.until(() => agent.of('heartbeat-ack').length > before, 'the heartbeat ack');
  }

  /** Moves time on in steps in which all agents beat. */
  async pass(ms: number, agents: readonly TestAgent[]): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      for (const agent of agents) await this.roundTrip(agent);
      await this.clock.advance(Math.min(left, 1_000));
    }
    for (const agent of agents) await this.roundTrip(agent);
  }

  state(nodeId: string): string | undefined {
    return this.store.get('node', nodeId)?.Status.State;
  }
}

export function helloOf(hello: Partial<AgentHello> = {}): AgentHello {
  return {
    type: 'hello',
    description: DESCRIPTION,
    dataPathAddr: '198.18.0.7',
    meshGeneration: 0,
    ...hello,
  };
}

/** Tasks that messages put, in order. */
export function putTasks(...messages: readonly Assignments[]): Task[] {
  const changes = messages.flatMap((message) => message.changes);
  return changes.flatMap((change) =>
    change.kind === 'task' && change.action === 'put' ? [change.object] : [],
  );
}

/** Changes as texts: `put task t1`. */
export function told(...messages: readonly Assignments[]): string[] {
  const text = (change: AssignmentChange): string =>
    `${change.action} ${change.kind} ${change.action === 'put' ? change.object.ID : change.id}`;
  return messages.flatMap(({ changes }) => changes.map(text));
}

export const PORT = {
  Protocol: 'tcp',
  TargetPort: 80,
  PublishedPort: 8080,
  PublishMode: 'ingress',
} as const;

/** A task of `service` on a node, that serves the published port when it runs. */
export function servingTask(
  id: string,
  nodeId: string,
  state: Task['Status']['State'] = 'running',
  patch: Partial<Draft<'task'>> = {},
): Draft<'task'> {
  return taskDraft(id, {
    NodeID: nodeId,
    Status: { Timestamp: '2026-01-01T00:00:00.000Z', State: state, Message: '' },
    Endpoint: { Ports: [PORT] },
    NetworksAttachments: [
      { Network: { ID: 'ingress', Spec: { Name: 'ingress' } }, Addresses: ['10.240.1.5/32'] },
    ],
    ...patch,
  });
}
