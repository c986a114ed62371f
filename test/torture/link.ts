import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Pump } from './pump.js';
import type { Wire } from './wire.js';

/**
 * The most connections of one link at a time; more are refused. Members give each up after 2 to 5
 * s.
 */
const CONNECTIONS_LIMIT = 32;

/** The way by which one host dials another: a port on loopback, and what goes through it. */
export class Link {
  /** Refuses and resets every connection while set. */
  private isCut = false;
  /** Where the dialled host listens now; undefined while it does not. */
  targetPort: number | undefined;
  private readonly server: Server;
  private readonly there: Wire;
  private readonly back: Wire;
  private readonly sockets = new Set<Socket>();

  /**
   * @param there from the dialling host to the dialled one
   * @param back the other way
   */
  constructor(there: Wire, back: Wire) {
    this.there = there;
    this.back = back;
    this.server = createServer((socket) => this.accept(socket));
  }

  /** @returns the port */
  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) reset(socket);
  }

  mend(): void {
    this.isCut = false;
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.cut();
    await closed;
  }

  private accept(dialler: Socket): void {
    this.own(dialler);
    const { targetPort } = this;
    if (this.isCut || targetPort === undefined || this.sockets.size > 2 * CONNECTIONS_LIMIT) {
      reset(dialler);
      return;
    }
    dialler.setNoDelay();
    const target = this.own(connect({ port: targetPort, host: '127.0.0.1', noDelay: true }));
    new Pump(dialler, target, this.there);
    new Pump(target, dialler, this.back);
  }

  private own(socket: Socket): Socket {
    this.sockets.add(socket);
    // The other end notices what went wrong: the close follows.
    socket.on('error', () => {});
    socket.once('close', () => this.sockets.delete(socket));
    return socket;
  }
}

/**
 * Node.js 20 cannot reset a connection while it is being made or ended: it then never closes the
 * handle, and the process cannot exit.
 */
function reset(socket: Socket): void {
  if (socket.connecting || socket.writableEnded) socket.destroy();
  else if (!socket.destroyed) socket.resetAndDestroy();
}
