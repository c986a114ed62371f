import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '@swarm/api';
import { openRequest, type ProxyTarget, requestOptions } from './proxy.js';

/** Largest body of a request that asks for an upgrade (`exec start` sends a few bytes). */
const UPGRADE_BODY_LIMIT = 64 * 1024;
/** How long to read what a client still sends after its last answer. */
const LINGER_MS = 1000;

/**
 * Forwards a request that asks to take over its connection (`docker attach`, `docker exec`, BuildKit), then
 * copies bytes both ways. When the other side answers without taking over, sends that answer and closes the
 * connection, so that no later request bypasses the router.
 * @param head what the parser read beyond the request's head
 */
export function hijackTo(
  target: ProxyTarget,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  clock: Clock,
): void {
  const length = Number(request.headers['content-length'] ?? 0);
  if (!(length <= UPGRADE_BODY_LIMIT) || request.headers['transfer-encoding'] !== undefined) {
    refuse(
      socket,
      400,
      'a request that upgrades its connection must have a small body of known length',
      clock,
    );
    return;
  }
  const options = requestOptions(request, target);
  options.headers = {
    ...(options.headers as Record<string, string>),
    connection: 'Upgrade',
    upgrade: request.headers.upgrade ?? 'tcp',
    ...(length > 0 && { 'content-length': length }),
  };
  const upstream = openRequest(options);
  // A client that has finished sending may still read, so the streams decide when to close, not only errors.
  const cut = (): void => {
    upstream.destroy();
    socket.destroy();
  };
  socket.once('error', cut);
  socket.once('close', () => upstream.destroy());
  upstream.once('error', (error) => {
    refuse(socket, 503, `${target.name} could not be reached: ${error.message}`, clock);
  });
  upstream.once('upgrade', (answer, peer, first) => {
    socket.write(headOf(answer.statusCode ?? 101, answer.statusMessage, answer.rawHeaders));
    if (first.byteLength > 0) socket.write(first);
    peer.once('error', cut);
    socket.pipe(peer);
    peer.pipe(socket);
    socket.once('close', () => peer.destroy());
  });
  upstream.once('response', (answer) => {
    const raw = answer.rawHeaders.flatMap((value, index, all) =>
      index % 2 === 1 || /^(connection|keep-alive|transfer-encoding)$/i.test(value)
        ? []
        : [value, all[index + 1]!],
    );
    socket.write(
      headOf(answer.statusCode ?? 502, answer.statusMessage, [...raw, 'Connection', 'close']),
    );
    answer.pipe(socket);
    closeWhenWritten(socket, clock);
  });
  sendBody(socket, head, length, upstream);
}

/** Sends the request's body, which is still in the socket and exactly `length` bytes long. */
function sendBody(
  socket: Duplex,
  head: Buffer,
  length: number,
  upstream: NodeJS.WritableStream,
): void {
  let missing = length;
  const take = (chunk: Buffer): void => {
    const own = chunk.subarray(0, missing);
    missing -= own.byteLength;
    if (own.byteLength > 0) upstream.write(own);
    if (missing > 0) return;
    socket.off('data', take);
    socket.pause();
    const rest = chunk.subarray(own.byteLength);
    if (rest.byteLength > 0) socket.unshift(rest);
    upstream.end();
  };
  if (missing > 0) socket.on('data', take);
  take(head);
}

function headOf(status: number, message: string | undefined, raw: readonly string[]): string {
  let head = `HTTP/1.1 ${status} ${message ?? STATUS_CODES[status] ?? ''}\r\n`;
  for (let index = 0; index + 1 < raw.length; index += 2)
    head += `${raw[index]}: ${raw[index + 1]}\r\n`;
  return `${head}\r\n`;
}

/**
 * Closes the socket when all is written. Reads and drops what the client still sends for a moment: unread
 * bytes would keep the socket open, or reset the connection before the client has read the answer.
 */
function closeWhenWritten(socket: Duplex, clock: Clock): void {
  socket.once('finish', () => {
    const timer = clock.setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clock.clearTimeout(timer));
    socket.once('end', () => socket.destroy());
    socket.resume();
  });
}

/** Answers on a bare socket and closes it. */
export function refuse(
  socket: Duplex,
  status: number,
  message: string,
  clock: Clock,
  headers: readonly string[] = [],
): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const body = `${JSON.stringify({ message })}\n`;
  closeWhenWritten(socket, clock);
  socket.end(
    headOf(status, undefined, [
      'Content-Type',
      'application/json',
      'Content-Length',
      String(Buffer.byteLength(body)),
      'Connection',
      'close',
      ...headers,
    ]) + body,
  );
}
