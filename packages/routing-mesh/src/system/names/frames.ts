import type { Socket } from 'node:net';
import { ORDER_LIMIT_BYTES } from '../../names/resolver-orders.js';

const LENGTH_BYTES = 4;

/** Sends a value as JSON, with its length before it. */
export function sendFrame(socket: Socket, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(body.length, 0);
  socket.write(length);
  socket.write(body);
}

/** Calls the listener with each value; ends the connection when the peer sends anything else. */
export function onFrames(socket: Socket, listener: (value: unknown) => void): void {
  let chunks: Buffer[] = [];
  let size = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    while (size >= LENGTH_BYTES) {
      if (chunks[0]!.length < LENGTH_BYTES) chunks = [Buffer.concat(chunks)];
      const length = chunks[0]!.readUInt32BE(0);
      if (length > ORDER_LIMIT_BYTES) return void socket.destroy();
      if (size < LENGTH_BYTES + length) return;
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      const rest = all.subarray(LENGTH_BYTES + length);
      chunks = rest.length === 0 ? [] : [rest];
      size = rest.length;
      try {
        listener(JSON.parse(all.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + length)));
      } catch {
        return void socket.destroy();
      }
    }
  });
}
