import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, isIPv6 } from 'node:net';
import type { DatagramSocket, Sockets } from '../kernel/sockets.js';

/** The sockets of this process's network namespace. */
export function systemSockets(): Sockets {
  return {
    async listen({ address, port, connectionLimit }, serve) {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
      server.maxConnections = connectionLimit;
      server.on('connection', serve);
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: address, port, ipv6Only: isIPv6(address) }, () => {
          server.off('error', reject);
          // A later error (out of file handles, say) only costs that client.
          server.on('error', () => {});
          resolve();
        });
      });
      // Not awaited: a server's close only ends with its last connection.
      return { close: () => void server.close() };
    },

    connect: ({ address, port }) =>
      connect({ host: address, port, allowHalfOpen: true, noDelay: true, keepAlive: true }),

    async bindDatagrams({ address, port }, receive) {
      const v6 = isIPv6(address);
      const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6 });
      try {
        await new Promise<void>((resolve, reject) => {
          socket.once('error', reject);
          socket.bind({ address, port }, () => {
            socket.off('error', reject);
            socket.on('error', () => {});
            resolve();
          });
        });
      } catch (error) {
        socket.close();
        throw error;
      }
      socket.on('message', receive);
      return datagrams(socket);
    },

    connectDatagrams({ address, port }, { ready, receive, failed }) {
      const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
      socket.on('error', failed);
      socket.on('message', receive);
      // Without a route (or within a subnet whose device is gone) this callback gets the error, and no
      // `error` is emitted.
      socket.connect(port, address, (error?: Error) => (error === undefined ? ready() : failed()));
      return datagrams(socket);
    },
  };
}

function datagrams(socket: UdpSocket): DatagramSocket {
  let isClosed = false;
  return {
    // Failures of a send are the socket's `error` event, or lost, as UDP may be.
    send(data) {
      if (!isClosed) socket.send(data, () => {});
    },
    sendTo(data, to) {
      if (!isClosed) socket.send(data, to.port, to.address, () => {});
    },
    get queuedBytes() {
      return isClosed ? 0 : socket.getSendQueueSize();
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      socket.close();
    },
  };
}
