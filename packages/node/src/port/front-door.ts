import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { ApiError, type Clock, isLoopback, parseIpAddress, type Timer } from '@swarm/api';
import type { Metric } from '@swarm/raft';
import {
  type AddressGroups,
  groupsOf,
  type NodeAddresses,
  type RefusalLog,
} from '@swarm/manager/assembly';
import {
  CONNECTION_CLASSES,
  type ConnectionBudgets,
  type ConnectionClass,
  type ProvedNode,
} from './connection-budgets.js';
import { HandshakeQueue, type Waiting } from './handshake-queue.js';

/** Connections that the kernel queues until this process accepts them: all agents may connect at once. */
const BACKLOG = 4096;
/** From accept to the end of the handshake, including the wait for its turn. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A peer without a certificate sends the head of its request within this time after the handshake, */
export const UNPROVED_HEAD_MS = 5_000;
/** and is cut after this time: a joining node waits up to 5 s for a leader and then for a certificate. */
export const UNPROVED_LIFE_MS = 30_000;
/**
 * Most unanswered requests of one connection. Our clients send one after the other. Each pending request
 * takes memory, so a pipeline of them would evade every limit that counts connections.
 */
export const REQUESTS_AT_ONCE = 4;
/** On closing, requests of nodes that have arrived get this long to be answered. */
export const ANSWERS_LIMIT_MS = 1_000;
/** TCP probes a peer that is silent for this long. */
const KEEP_ALIVE_MS = 30_000;

export interface FrontDoorOptions {
  /** Does TLS and HTTP. It never listens itself; the front door passes it the connections. */
  readonly server: HttpsServer;
  readonly budgets: ConnectionBudgets<Connection>;
  readonly addresses: Pick<NodeAddresses, 'roleAt' | 'see'>;
  readonly clock: Clock;
  readonly refusals: RefusalLog;
  /** Which node the certificate proves; undefined when it is not a node of this cluster. */
  readonly prove: (socket: TLSSocket) => ProvedNode | undefined;
}

/** An accepted TCP connection. */
export interface Connection extends Waiting {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly arrivedMs: number;
  readonly groups: AddressGroups;
  handshake: 'waits' | 'begun' | 'failed' | 'done';
  isCut: boolean;
  requests: number;
  /** Its requests without an answer yet. */
  unanswered: number;
  timer: Timer | undefined;
}

/**
 * Accepts TCP connections for the port for nodes, lets them begin their handshakes in turn, and cuts those
 * that have no room or take too long. See `ConnectionBudgets` and `HandshakeQueue`.
 */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #listening: Server;
  readonly #queue: HandshakeQueue<Connection>;
  /** Every connection by both its ends, those taken over included. */
  readonly #connections = new Map<string, Connection>();
  readonly #byTls = new WeakMap<Duplex, Connection>();
  #closing = false;
  /** Requests of nodes without an answer yet. */
  #unanswered = 0;
  /** Called when there is none, while it closes. */
  #onAnswered: (() => void) | undefined;
  readonly #cut = { crowded: 0, late: 0, 'second request': 0, pipelined: 0 };

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    const { server, clock } = options;
    this.#queue = new HandshakeQueue(clock, (connection) => {
      connection.handshake = 'begun';
      server.emit('connection', connection.socket);
    });
    this.#listening = createServer(
      // Reads nothing until the handshake begins: a waiting connection costs only its socket.
      {
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
      },
      (socket) => this.#arrive(socket),
    );
    // Before HTTP begins to read.
    server.prependListener('secureConnection', (socket: TLSSocket) => this.#secured(socket));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) =>
      this.#failed(error, socket),
    );
    // The server checks for slow heads only when it believes that it listens.
    server.emit('listening');
  }

  /** Resolves when it listens. */
  listen(host: string, port: number): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#listening.once('error', reject);
      this.#listening.listen({ host, port, backlog: BACKLOG }, () => {
        this.#listening.off('error', reject);
        resolve();
      });
    });
  }

  /** Errors while it listens, for instance too few file descriptors. */
  onError(listener: (error: Error) => void): void {
    this.#listening.on('error', listener);
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#listening.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /**
   * Accepts nothing more, lets nodes have the answers that they wait for, then cuts every connection. Without
   * its answer, a manager that forwarded a write cannot tell its client whether it was done.
   */
  async close(): Promise<void> {
    this.#closing = true;
    this.#queue.stop();
    // Ends the server's check for slow heads. Its callback gets an error, because it does not listen.
    this.#options.server.close(() => {});
    const closed = new Promise<void>((resolve) => {
      this.#listening.close(() => resolve());
    });
    await this.#answered();
    for (const { socket } of this.#connections.values()) socket.destroy();
    await closed;
  }

  /** Resolves when no node waits for an answer, at the latest after ANSWERS_LIMIT_MS. */
  async #answered(): Promise<void> {
    if (this.#unanswered === 0) return;
    const { clock } = this.#options;
    let timer: Timer;
    await new Promise<void>((resolve) => {
      this.#onAnswered = resolve;
      timer = clock.setTimeout(resolve, ANSWERS_LIMIT_MS);
    });
    clock.clearTimeout(timer);
  }

  /** The node that the peer proved to be at the handshake; undefined for others. */
  nodeOf(socket: Duplex): ProvedNode | undefined {
    const connection = this.#byTls.get(socket);
    return connection === undefined ? undefined : this.#options.budgets.nodeOf(connection);
  }

  /**
   * Call first for each request and upgrade. A peer without a certificate has one request per connection, a
   * node a few at once. @returns false when it has cut the connection instead
   */
  request(request: IncomingMessage, response?: ServerResponse): boolean {
    const connection = this.#byTls.get(request.socket);
    if (connection === undefined || connection.isCut) return false;
    if (this.#options.budgets.nodeOf(connection) !== undefined)
      return this.#hasTime(connection, response);
    connection.requests += 1;
    if (connection.requests > 1) {
      if (connection.requests === 2)
        this.#endSoon(
          connection,
          'second request',
          'it sent a second request and has no certificate',
        );
      return false;
    }
    response?.setHeader('connection', 'close');
    this.#within(connection, UNPROVED_LIFE_MS, 'it was there for too long without a certificate');
    return true;
  }

  #hasTime(connection: Connection, response: ServerResponse | undefined): boolean {
    if (response === undefined) return true;
    connection.unanswered += 1;
    this.#unanswered += 1;
    response.once('close', () => {
      connection.unanswered -= 1;
      this.#unanswered -= 1;
      if (this.#unanswered === 0) this.#onAnswered?.();
    });
    if (connection.unanswered <= REQUESTS_AT_ONCE) return true;
    if (connection.unanswered === REQUESTS_AT_ONCE + 1)
      this.#endSoon(connection, 'pipelined', 'it waits for no answer before it asks again');
    return false;
  }

  /** Not at once: Node's parser is still reading, and fails when its socket is destroyed meanwhile. */
  #endSoon(connection: Connection, kind: keyof FrontDoor['cuts'], reason: string): void {
    this.#options.clock.setImmediate(() => {
      if (!connection.isCut) this.#end(connection, kind, reason);
    });
  }

  /** Counts an upgraded connection. @throws ApiError OVERLOADED when there is no room */
  takeOver(socket: Duplex, name: 'agent' | 'raft'): void {
    const connection = this.#byTls.get(socket);
    const goes =
      connection === undefined ? undefined : this.#options.budgets.takeOver(connection, name);
    if (connection === undefined || goes === connection)
      throw new ApiError('OVERLOADED', 'this manager has as many connections as it can: try again');
    this.#makeRoom(goes);
  }

  /** For observers. */
  metrics(): readonly Metric[] {
    const { budgets } = this.#options;
    const ofClass = (value: (name: ConnectionClass) => number) =>
      CONNECTION_CLASSES.map((name) => ({ labels: { class: name }, value: value(name) }));
    return [
      {
        kind: 'gauge',
        name: 'swarm_port_connections',
        help: 'Connections to the port for nodes, by class.',
        values: ofClass((name) => budgets.count(name)),
      },
      {
        kind: 'gauge',
        name: 'swarm_port_connections_limit',
        help: 'Most connections to the port for nodes, by class.',
        values: ofClass((name) => budgets.limits[name]),
      },
      {
        kind: 'gauge',
        name: 'swarm_port_handshakes_waiting',
        help: 'Connections that wait for their TLS handshake.',
        values: [{ value: this.#queue.size }],
      },
      {
        kind: 'counter',
        name: 'swarm_port_connections_cut_total',
        help: 'Connections to the port for nodes that were cut, by why.',
        values: Object.entries(this.#cut).map(([why, value]) => ({ labels: { why }, value })),
      },
    ];
  }

  #arrive(socket: Socket): void {
    const ends = endsOf(socket);
    // The peer has already gone.
    if (ends === undefined) {
      socket.destroy();
      return;
    }
    const { clock, budgets, addresses } = this.#options;
    const { remoteAddress = '' } = socket;
    const groups = groupsOf(remoteAddress);
    const address = parseIpAddress(remoteAddress);
    const isLocal = address !== undefined && isLoopback(address);
    const known = addresses.roleAt(groups[1]);
    const connection: Connection = {
      socket,
      remoteAddress: address ?? remoteAddress,
      arrivedMs: clock.monotonicMs(),
      groups,
      roleAtAddress: known ?? (isLocal ? 'worker' : undefined),
      isLocal,
      handshake: 'waits',
      isCut: false,
      requests: 0,
      unanswered: 0,
      timer: undefined,
    };
    this.#connections.set(ends, connection);
    socket.on('error', () => {});
    socket.once('close', () => {
      if (this.#connections.get(ends) === connection) this.#connections.delete(ends);
      this.#closed(connection);
    });
    this.#within(connection, HANDSHAKE_TIMEOUT_MS, 'its TLS handshake took too long');
    this.#makeRoom(budgets.arrive(connection, groups, known !== undefined));
    this.#queue.add(connection);
  }

  #closed(connection: Connection): void {
    const { clock, budgets, refusals } = this.#options;
    clock.clearTimeout(connection.timer);
    this.#queue.remove(connection);
    budgets.leave(connection);
    const { handshake, isCut, remoteAddress } = connection;
    const isTold = isCut || this.#closing || handshake === 'done' || handshake === 'failed';
    if (!isTold) refusals.refused({ remoteAddress }, 'a TLS handshake was broken off');
  }

  #failed(error: NodeJS.ErrnoException, tls: TLSSocket): void {
    // The socket's close event handles peers that left or were cut.
    if (error.code === 'ECONNRESET') return;
    const connection = this.#connections.get(endsOf(tls) ?? '');
    if (connection !== undefined) connection.handshake = 'failed';
    this.#options.refusals.refused(
      { remoteAddress: connection?.remoteAddress, error: error.message },
      'a connection to the managers’ port failed its TLS handshake',
    );
  }

  #secured(tls: TLSSocket): void {
    const connection = this.#connections.get(endsOf(tls) ?? '');
    if (connection === undefined) {
      tls.destroy();
      return;
    }
    const { budgets, prove, addresses, clock } = this.#options;
    connection.handshake = 'done';
    this.#byTls.set(tls, connection);
    const node = prove(tls);
    if (node === undefined) {
      this.#within(connection, UNPROVED_HEAD_MS, 'it sent no request and has no certificate');
      return;
    }
    clock.clearTimeout(connection.timer);
    addresses.see(connection.groups[1], node.role);
    this.#makeRoom(budgets.prove(connection, node));
  }

  /** Cuts a connection that is still unproved after this time. */
  #within(connection: Connection, ms: number, why: string): void {
    const { clock } = this.#options;
    clock.clearTimeout(connection.timer);
    const lifeMs = connection.arrivedMs + UNPROVED_LIFE_MS - clock.monotonicMs();
    connection.timer = clock.setTimeout(
      () => this.#end(connection, 'late', why),
      Math.min(ms, lifeMs),
    );
  }

  #makeRoom(goes: Connection | undefined): void {
    if (goes !== undefined) this.#end(goes, 'crowded', 'others needed its place');
  }

  #end(connection: Connection, kind: keyof FrontDoor['cuts'], reason: string): void {
    const { budgets, refusals } = this.#options;
    this.#cut[kind] += 1;
    connection.isCut = true;
    this.#queue.remove(connection);
    budgets.leave(connection);
    const { remoteAddress, socket } = connection;
    refusals.refused({ remoteAddress, reason }, 'cut a connection to the managers’ port');
    socket.destroy();
  }

  /** Connections cut so far. */
  get cuts(): Readonly<Record<'crowded' | 'late' | 'second request' | 'pipelined', number>> {
    return this.#cut;
  }
}

/** Identifies a connection while it is open; undefined when it is closed. */
function endsOf(socket: Socket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
