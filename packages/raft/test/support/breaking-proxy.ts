import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What a proxy does to a connection that has carried its bytes. */
export type Break = 'reset' | 'silence';

/** A TCP proxy that breaks each connection after this many bytes to the server. */
export class BreakingProxy {
  readonly port: number;
  connections = 0;
  /** Bytes forwarded to the server, over all connections. */
  forwarded = 0;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** @param afterBytes called for each connection */
  static async listen(
    target: number,
    afterBytes: () => number,
    how: Break = 'reset',
  ): Promise<BreakingProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const proxy = new BreakingProxy(server);
    server.on('connection', (client) => proxy.join(client, target, afterBytes(), how));
    return proxy;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket, target: number, limitBytes: number, how: Break): void {
    this.connections++;
    const upstream = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
    let left = limitBytes;
    client.on('data', (bytes) => {
      if (left <= 0) return;
      const part = bytes.subarray(0, left);
      left -= part.length;
      this.forwarded += part.length;
      upstream.write(part);
      if (left > 0) return;
      if (how === 'reset') {
        client.resetAndDestroy();
        upstream.resetAndDestroy();
      }
    });
    upstream.on('data', (bytes) => {
      if (left > 0) client.write(bytes);
    });
  }
}
