import { connect } from 'node:net';
import {
  APPLIED,
  Cutter,
  ID_BYTES,
  KEY_BYTES,
  REPLY_BYTES,
  REQUEST_BYTES,
} from './client-protocol.js';
import type { Writer } from './writer.js';

const FILLING = 0x78;

/** Writes to one of our members; requests of one turn leave together. */
export async function connectMember(port: number): Promise<Writer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const waiting = new Map<number, (ok: boolean) => void>();
  const cutter = new Cutter(REPLY_BYTES);
  let nextId = 0;
  let corked = false;
  const take = (reply: Buffer): void => {
    const id = reply.readUInt32BE(0);
    const done = waiting.get(id);
    waiting.delete(id);
    done?.(reply[ID_BYTES] === APPLIED);
  };
  socket.on('data', (chunk) => cutter.cut(chunk, take));
  socket.on('error', () => {});
  socket.on('close', () => {
    for (const done of [...waiting.values()]) done(false);
    waiting.clear();
  });
  return {
    get isOpen() {
      return !socket.destroyed;
    },
    write(key, done) {
      if (socket.destroyed) return done(false);
      nextId = (nextId + 1) >>> 0;
      waiting.set(nextId, done);
      const request = Buffer.allocUnsafe(REQUEST_BYTES);
      request.writeUInt32BE(nextId, 0);
      key.copy(request, ID_BYTES);
      request.fill(FILLING, ID_BYTES + KEY_BYTES);
      if (!corked) {
        corked = true;
        socket.cork();
        process.nextTick(() => {
          corked = false;
          socket.uncork();
        });
      }
      socket.write(request);
    },
    close: () => socket.destroy(),
  };
}
