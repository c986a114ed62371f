import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import type { MemberId, MemberInfo } from '../../src/core/types.js';
import type { TransportClock, TransportLogger } from '../../src/transport/environment.js';
import { RAFT_SNAPSHOT_PATH } from '../../src/transport/hello.js';
import type { TransportLimits } from '../../src/transport/limits.js';
import { socketOptions } from '../../src/transport/ws-connect.js';
import { WsTransport, type WsTransportOptions } from '../../src/transport/ws-transport.js';

export const realClock: TransportClock = {
  monotonicMs: () => performance.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  setImmediate: (callback) => setImmediate(callback),
};

/** Keeps the logged lines. */
export class LineLog implements TransportLogger {
  readonly warnings: { fields: object; message: string }[] = [];
  readonly infos: object[] = [];
  debug(): void {}
  info(fields: object): void {
    this.infos.push(fields);
  }
  warn(fields: object, message: string): void {
    this.warnings.push({ fields, message });
  }
}

/** Decides whether a snapshot's connection breaks instead of carrying this frame of this member. */
export type Breaks = (frame: Uint8Array, from: MemberId) => boolean;

/** A host of the test: its own server, on one port for as long as the test runs. */
export class WsHost {
  readonly member: MemberInfo;
  readonly log = new LineLog();
  private readonly server: WebSocketServer;
  transport: WsTransport | undefined;
  readonly accepted: WebSocket[] = [];
  breaks: Breaks = () => false;

  private constructor(server: WebSocketServer, id: MemberId) {
    this.server = server;
    const { port } = server.address() as AddressInfo;
    this.member = { id, address: `127.0.0.1:${port}`, nodeId: `node-${id}` };
    server.on('connection', (socket, request) => {
      this.accepted.push(socket);
      if (request.url === RAFT_SNAPSHOT_PATH) this.mayBreak(socket);
      if (this.transport === undefined) return socket.close();
      this.transport.accept(socket, { nodeId: String(request.headers['x-node']) }, request.url);
    });
  }

  static async create(id: MemberId): Promise<WsHost> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...socketOptions() });
    await new Promise((resolve) => server.once('listening', resolve));
    return new WsHost(server, id);
  }

  /** A transport of this host; the previous one should be closed. */
  newTransport(
    limits: Partial<TransportLimits> = {},
    options: Partial<WsTransportOptions> = {},
  ): WsTransport {
    this.transport = new WsTransport({
      self: this.member,
      clusterId: 'cluster',
      // The header stands in for a client certificate.
      connect: ({ address }, path) => {
        const socket = new WebSocket(`ws://${address}${path}`, {
          ...socketOptions(),
          headers: { 'x-node': this.member.nodeId },
        });
        if (path === RAFT_SNAPSHOT_PATH) this.mayBreak(socket);
        return socket;
      },
      clock: realClock,
      random: () => 0.5,
      logger: this.log,
      limits,
      ...options,
    });
    return this.transport;
  }

  private mayBreak(socket: WebSocket): void {
    const send = socket.send.bind(socket) as (...args: unknown[]) => void;
    socket.send = (...args: unknown[]) => {
      if (this.breaks(args[0] as Uint8Array, this.member.id)) socket.terminate();
      send(...args);
    };
  }

  async close(): Promise<void> {
    await this.transport?.close();
    for (const socket of this.server.clients) socket.terminate();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
