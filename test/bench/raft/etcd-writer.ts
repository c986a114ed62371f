import { connect, type ClientHttp2Session } from 'node:http2';
import { once } from 'node:events';
import { VALUE_BYTES } from './client-protocol.js';
import type { Writer } from './writer.js';

const HEADERS = {
  ':method': 'POST',
  ':path': '/etcdserverpb.KV/Put',
  'content-type': 'application/grpc',
  te: 'trailers',
} as const;

/** gRPC's message header (uncompressed, u32 length), then PutRequest: 1 = key, 2 = value. */
function putFrame(key: Buffer): Buffer {
  const message = Buffer.concat([
    Buffer.of(0x0a, key.length),
    key,
    Buffer.of(0x12, 0x80 | (VALUE_BYTES & 0x7f), VALUE_BYTES >> 7),
    Buffer.alloc(VALUE_BYTES, 'x'),
  ]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/**
 * Writes to etcd with gRPC over Node's own HTTP/2. @grpc/grpc-js does the same with more work for
 * each call, which would count against etcd on a machine shared with the servers.
 */
export async function connectEtcd(port: number): Promise<Writer> {
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  await once(session, 'connect');
  return {
    get isOpen() {
      return !session.destroyed;
    },
    write(key, done) {
      if (session.destroyed) return done(false);
      const stream = session.request(HEADERS);
      let ok = false;
      stream.on('trailers', (trailers) => {
        ok = trailers['grpc-status'] === '0';
      });
      stream.on('error', () => {});
      stream.once('close', () => done(ok));
      stream.resume();
      stream.end(putFrame(key));
    },
    close: () => session.destroy(),
  };
}
