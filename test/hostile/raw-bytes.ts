import fc, { type Arbitrary } from 'fast-check';
import { clientFrame, Opcode } from './frames.js';
import { upgradeRequest } from './requests.js';

/** Bytes, with a name for what they try. */
export interface HostileBytes {
  readonly label: string;
  readonly bytes: Buffer;
}

const LONG_HEADER = 100_000;
const MANY_HEADERS = 3_000;
const PINGS = 2_000;

function named(label: string, ...texts: readonly (string | Buffer)[]): HostileBytes[] {
  return texts.map((text) => ({
    label,
    bytes: typeof text === 'string' ? Buffer.from(text, 'latin1') : text,
  }));
}

/** Bytes to send over TCP in place of TLS. */
export function brokenTls(): Arbitrary<HostileBytes> {
  const record = (type: number, version: number, length: number, payload: Buffer) => {
    const head = Buffer.from([type, version >> 8, version & 0xff, length >> 8, length & 0xff]);
    return Buffer.concat([head, payload]);
  };
  const hello = Buffer.concat([
    Buffer.from([1, 0, 0, 43, 3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0, 0, 2, 0x13, 0x01, 1, 0]),
  ]);
  const cases = [
    ...named('HTTP in clear', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    ...named('a hello cut off', record(22, 0x0301, hello.length, hello.subarray(0, 20))),
    ...named('a hello without extensions', record(22, 0x0301, hello.length, hello)),
    ...named('a record too long', record(22, 0x0303, 65_535, Buffer.alloc(2_000, 1))),
    ...named('an alert first', record(21, 0x0303, 2, Buffer.from([2, 40]))),
    ...named('data first', record(23, 0x0303, 100, Buffer.alloc(100, 9))),
    ...named('an empty record', ...[record(22, 0x0303, 0, Buffer.alloc(0))]),
    ...named(
      'many empty records',
      Buffer.concat(Array.from({ length: 500 }, () => record(22, 0x0303, 0, Buffer.alloc(0)))),
    ),
    ...named('a renegotiation', record(22, 0x0303, 4, Buffer.from([0, 0, 0, 0]))),
    ...named('SSL 2', Buffer.from([0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10])),
    ...named('a heartbeat', record(24, 0x0302, 3, Buffer.from([1, 0x40, 0]))),
    ...named('nothing', ''),
  ];
  return fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...cases) },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 300 })
        .map((bytes) => ({ label: 'random bytes', bytes: Buffer.from(bytes) })),
    },
  );
}

/** Bytes to send over TLS in place of HTTP: requests that parsers disagree on, and garbage. */
export function brokenHttp(): Arbitrary<HostileBytes> {
  const post = 'POST /ca/certificates HTTP/1.1\r\nHost: x\r\n';
  const inner = 'GET /nodes HTTP/1.1\r\nHost: x\r\n\r\n';
  const cases = [
    ...named('two lengths', `${post}Content-Length: 0\r\nContent-Length: 5\r\n\r\n12345${inner}`),
    ...named(
      'length and chunks',
      `${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    ),
    ...named(
      'chunks twice',
      `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${inner}`,
    ),
    ...named(
      'chunks in disguise',
      `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
      `${post}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n`,
      `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    ),
    ...named(
      'an invalid chunk size',
      `${post}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n`,
      `${post}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n`,
      `${post}Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n`,
      `${post}Transfer-Encoding: chunked\r\n\r\n1;${'e'.repeat(20_000)}\r\na\r\n0\r\n\r\n`,
    ),
    ...named('trailers', `${post}Transfer-Encoding: chunked\r\n\r\n0\r\nx-swarm-peer: {}\r\n\r\n`),
    ...named(
      'an invalid length',
      `${post}Content-Length: -5\r\n\r\n`,
      `${post}Content-Length: 1e3\r\n\r\n`,
      `${post}Content-Length: 99999999999999999999\r\n\r\n`,
      `${post}Content-Length: +3\r\n\r\nabc`,
    ),
    ...named(
      'a folded header',
      `GET /ca/root HTTP/1.1\r\nHost: x\r\nx-swarm-peer: {\r\n "subject":1}\r\n\r\n`,
    ),
    ...named(
      'bare line feeds',
      `GET /ca/root HTTP/1.1\nHost: x\n\n`,
      `GET /ca/root HTTP/1.1\r\nHost: x\nx-swarm-peer: {}\r\n\r\n`,
    ),
    ...named(
      'a zero byte',
      `GET /ca/root\0 HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET /ca/root HTTP/1.1\r\nHost: x\0y\r\n\r\n`,
    ),
    ...named(
      'old HTTP',
      'GET /ca/root\r\n',
      'GET /ca/root HTTP/1.0\r\n\r\n',
      'GET /ca/root HTTP/0.9\r\n\r\n',
      'GET /ca/root HTTP/2.0\r\nHost: x\r\n\r\n',
    ),
    ...named('HTTP 2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    ...named(
      'no host, two hosts',
      'GET /ca/root HTTP/1.1\r\n\r\n',
      'GET /ca/root HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    ),
    ...named('a tunnel', 'CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n'),
    ...named('a path without end', `GET /${'a'.repeat(LONG_HEADER)} HTTP/1.1\r\nHost: x\r\n\r\n`),
    ...named(
      'a header without end',
      `GET /ca/root HTTP/1.1\r\nHost: x\r\nx: ${'b'.repeat(LONG_HEADER)}\r\n\r\n`,
    ),
    ...named(
      'headers without end',
      `GET /ca/root HTTP/1.1\r\nHost: x\r\n${'x: y\r\n'.repeat(MANY_HEADERS)}\r\n`,
    ),
    ...named('a head cut off', 'GET /ca/root HTTP/1.1\r\nHost: x\r\nx-swarm'),
    ...named('a body cut off', `${post}Content-Length: 1000\r\n\r\n{"csr":"`),
    ...named(
      'a question before the body',
      `${post}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n`,
      `${post}Expect: something\r\nContent-Length: 0\r\n\r\n`,
    ),
    ...named(
      'an upgrade with a body',
      `GET /dispatcher HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nabcde`,
    ),
    ...named(
      'an upgrade of another kind',
      'GET /dispatcher HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      'GET /dispatcher HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: x\r\n\r\n',
      'POST /dispatcher HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    ),
    ...named(
      'an upgrade with compression',
      upgradeRequest('/dispatcher', [
        'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=8',
      ]),
    ),
    ...named('not HTTP', '\r\n'.repeat(1_000), 'SSH-2.0-x\r\n', '\x16\x03\x01'),
  ];
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...cases) },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 500 })
        .map((bytes) => ({ label: 'random bytes', bytes: Buffer.from(bytes) })),
    },
    {
      weight: 1,
      arbitrary: fc
        .string({ maxLength: 200 })
        .map((text) => ({ label: 'random text', bytes: Buffer.from(`${text}\r\n\r\n`) })),
    },
  );
}

/** Frames that break RFC 6455, or only try a server's patience. */
export function brokenFrames(): Arbitrary<HostileBytes> {
  const { text, binary, close, ping, pong, continuation } = Opcode;
  const some = Buffer.from([0x81, 0xa4, 0x74, 0x79, 0x70, 0x65]);
  const closeWith = (code: number, reason = '') => {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    return clientFrame({ opcode: close, payload });
  };
  const fragments = (count: number) =>
    Buffer.concat([
      clientFrame({ opcode: binary, payload: some, fin: false }),
      ...Array.from({ length: count }, () =>
        clientFrame({ opcode: continuation, payload: Buffer.alloc(1), fin: false }),
      ),
    ]);
  const cases = [
    ...named('not masked', clientFrame({ opcode: binary, payload: some, masked: false })),
    ...named('compressed', clientFrame({ opcode: binary, payload: some, reserved: 4 })),
    ...named('reserved bits', clientFrame({ opcode: binary, payload: some, reserved: 3 })),
    ...named(
      'an opcode of nobody',
      ...[3, 7, 11, 15].map((opcode) => clientFrame({ opcode, payload: some })),
    ),
    ...named(
      'a size beyond the limit',
      clientFrame({ opcode: binary, payload: some, length: 4n * 1024n * 1024n + 1n }),
    ),
    ...named(
      'a size beyond numbers',
      clientFrame({ opcode: binary, payload: some, length: 2n ** 63n }),
      clientFrame({ opcode: binary, payload: some, length: 2n ** 53n }),
    ),
    ...named('a frame cut off', clientFrame({ opcode: binary, payload: some, length: 1_000n })),
    ...named('a continuation of nothing', clientFrame({ opcode: continuation, payload: some })),
    ...named(
      'a message in a message',
      Buffer.concat([
        clientFrame({ opcode: binary, payload: some, fin: false }),
        clientFrame({ opcode: binary, payload: some }),
      ]),
    ),
    ...named('fragments without end', fragments(3_000)),
    ...named(
      'empty fragments',
      Buffer.concat([
        clientFrame({ opcode: binary, payload: Buffer.alloc(0), fin: false }),
        ...Array.from({ length: 500 }, () =>
          clientFrame({ opcode: continuation, payload: Buffer.alloc(0), fin: false }),
        ),
      ]),
    ),
    ...named('a ping in parts', clientFrame({ opcode: ping, payload: some, fin: false })),
    ...named('a long ping', clientFrame({ opcode: ping, payload: Buffer.alloc(200) })),
    ...named(
      'pings without end',
      Buffer.concat(
        Array.from({ length: PINGS }, () =>
          clientFrame({ opcode: ping, payload: Buffer.alloc(100) }),
        ),
      ),
    ),
    ...named(
      'pongs nobody asked for',
      Buffer.concat(
        Array.from({ length: 200 }, () => clientFrame({ opcode: pong, payload: some })),
      ),
    ),
    ...named(
      'text',
      clientFrame({ opcode: text, payload: Buffer.from('{"type":"hello"}') }),
      clientFrame({ opcode: text, payload: Buffer.from([0xff, 0xc0]) }),
    ),
    ...named(
      'a close code of nobody',
      closeWith(999),
      closeWith(1005),
      closeWith(1006),
      closeWith(65_535),
      clientFrame({ opcode: close, payload: Buffer.alloc(1) }),
    ),
    ...named(
      'a close with bytes',
      clientFrame({ opcode: close, payload: Buffer.from([3, 0xe8, 0xff, 0xfe]) }),
      closeWith(1000, 'bye\r\n\u001b[2J'),
    ),
    ...named(
      'more after the close',
      Buffer.concat([closeWith(1000), clientFrame({ opcode: binary, payload: some })]),
    ),
    ...named(
      'no MessagePack',
      ...[[0xc1], [0x81], [0xdf, 255, 255, 255, 255], [0xa5, 1], [0x90], [0xc0], []].map((bytes) =>
        clientFrame({ opcode: binary, payload: Buffer.from(bytes) }),
      ),
    ),
  ];
  return fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...cases) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => ({
        label: 'random payload',
        bytes: clientFrame({ opcode: binary, payload: bytes }),
      })),
    },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 200 })
        .map((bytes) => ({ label: 'random bytes', bytes: Buffer.from(bytes) })),
    },
  );
}
