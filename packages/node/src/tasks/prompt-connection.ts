import { type createConnection, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';

/**
 * From the first packet until the kernel of the other host has answered, with one packet lost on the way. A busy manager
 * takes longer for a handshake, but its kernel does not; a host that is gone never answers.
 */
export const REACH_LIMIT_MS = 1_500;

/**
 * Opens a TLS connection, as the option `createConnection` of an HTTP request; the socket fails with ETIMEDOUT when the
 * host does not answer soon.
 */
export const promptConnection = ((options: ConnectionOptions): Socket => {
  const { host = '', servername = isIP(host) > 0 ? '' : host } = options;
  const socket = connect({ ...options, path: undefined, servername });
  const limit = setTimeout(() => {
    const error = new Error(`the host does not answer within ${REACH_LIMIT_MS} ms`);
    socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }));
  }, REACH_LIMIT_MS);
  const answered = (): void => clearTimeout(limit);
  socket.once('connect', answered);
  socket.once('close', answered);
  return socket;
}) as typeof createConnection;
