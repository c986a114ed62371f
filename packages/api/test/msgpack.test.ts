import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { Msgpack, MsgpackError, type MsgpackLimits } from '../src/wire/index.js';

const LIMITS: MsgpackLimits = { bytes: 1024 * 1024, values: 1_000, depth: 8 };
const msgpack = new Msgpack();

function refused(frame: Uint8Array, limits: Partial<MsgpackLimits> = {}): string {
  try {
    msgpack.unpack(frame, { ...LIMITS, ...limits });
  } catch (error) {
    if (error instanceof MsgpackError) return error.message;
    throw error;
  }
  throw new Error('it was unpacked');
}

test('every library unpacks what it packs, and the other way round', (t) => {
  const json = fc.jsonValue({ maxDepth: 5 });
  fc.assert(
    fc.property(json, fc.boolean(), (value, variableMapSize) => {
      const other = new Packr({ useRecords: false, variableMapSize }).pack(value);
      const limits = { ...LIMITS, values: 100_000, depth: 40 };
      // MessagePack has no negative zero among its integers, and msgpackr renames this key.
      if (JSON.stringify(value).includes('__proto__')) return;
      const wanted = JSON.parse(JSON.stringify(value)) as unknown;
      t.deepEqual(msgpack.unpack(other, limits), wanted);
      t.deepEqual(msgpack.unpack(msgpack.pack(value), limits), wanted);
    }),
  );
});

test('extension types are refused before anything is built', (t) => {
  const packr = new Packr({ moreTypes: true, structuredClone: true, useRecords: true });
  for (const value of [
    new Date(0),
    new Set([1]),
    /x/,
    new Error('x'),
    new Float64Array(2),
    { a: 1, b: 2 },
    [new Date(0)],
  ])
    t.regex(refused(packr.pack(value)), /^has type 0x/);
  const extensions = [0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8];
  for (const byte of extensions) {
    for (const type of [0x62, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0xff])
      t.regex(refused(Buffer.from([byte, type, 1, 1, 1, 1, 1, 1, 1, 1])), /^has type 0x/);
  }
});

test('a 64-bit integer is read as a number when a double holds it, else refused', (t) => {
  const frame = (token: number, value: bigint): Buffer => {
    const buffer = Buffer.alloc(9);
    buffer[0] = token;
    buffer.writeBigUInt64BE(BigInt.asUintN(64, value), 1);
    return buffer;
  };
  t.is(msgpack.unpack(frame(0xcf, 2n ** 53n - 1n), LIMITS), 2 ** 53 - 1);
  t.is(msgpack.unpack(frame(0xd3, -(2n ** 53n) + 1n), LIMITS), -(2 ** 53) + 1);
  for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
    t.regex(refused(frame(0xcf, value)), /beyond 2\^53/);
  for (const value of [2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), -(2n ** 54n)])
    t.regex(refused(frame(0xd3, value)), /beyond 2\^53/);
});

test('depth, bytes and values have limits', (t) => {
  t.regex(refused(Buffer.alloc(5_000, 0x91), { bytes: 5_000 }), /deeper than 8 levels/);
  t.regex(refused(Buffer.alloc(5_000_000, 0x91), { bytes: 5_000_000 }), /deeper than 8 levels/);
  t.regex(refused(Buffer.alloc(100), { bytes: 99 }), /more than 99 bytes/);
  const empties = Buffer.concat([Buffer.from([0xdc, 0x27, 0x10]), Buffer.alloc(10_000, 0x80)]);
  t.regex(refused(empties), /more than 1000 values/);
});

test('a declared length beyond the frame allocates nothing', (t) => {
  for (const head of [0xdd, 0xdf, 0xc6, 0xdb])
    t.is(refused(Buffer.from([head, 0xff, 0xff, 0xff, 0xff, 0xc0])), 'ends early');
  // Nested lists that all declare a length that only one of them can have.
  const nested = Buffer.concat(
    Array.from({ length: 7 }, () => Buffer.from([0xdd, 0x00, 0x0f, 0x00, 0x00])),
  );
  t.is(refused(nested), 'ends early');
});

test('keys are text, and nothing follows the value', (t) => {
  t.is(refused(Buffer.from([0x81, 0x01, 0x01])), 'has a key that is not text');
  t.is(refused(Buffer.from([0x81, 0x90, 0x01])), 'has a key that is not text');
  t.is(refused(Buffer.from([0x81, 0xc4, 0x01, 0x61, 0x01])), 'has a key that is not text');
  t.is(refused(Buffer.from([0xc0, 0xc0])), 'goes on after its value');
  t.is(refused(Buffer.alloc(0)), 'ends early');
  t.deepEqual(
    msgpack.unpack(Buffer.from([0x82, 0xa1, 0x61, 0x91, 0x01, 0xa1, 0x62, 0x80]), LIMITS),
    {
      a: [1],
      b: {},
    },
  );
});

test('any bytes are unpacked or refused with MsgpackError, and earlier frames have no influence', (t) => {
  const good = msgpack.pack({ a: [1, 'x'] });
  const tokens = fc.constantFrom(
    0x81,
    0x91,
    0xa1,
    0xc0,
    0xc1,
    0xc4,
    0xcf,
    0xd4,
    0xd9,
    0xdc,
    0xde,
    0x72,
  );
  const noise = fc.array(fc.oneof(fc.nat(255), tokens), { maxLength: 80 });
  const near = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Buffer.from(good);
    bytes[at] = byte;
    return [...bytes];
  });
  fc.assert(
    fc.property(fc.oneof(noise, near), (bytes) => {
      try {
        msgpack.unpack(Buffer.from(bytes), LIMITS);
      } catch (error) {
        if (!(error instanceof MsgpackError)) throw error;
        t.is(
          error.cause,
          undefined,
          `the walk let it through: ${Buffer.from(bytes).toString('hex')}`,
        );
      }
      t.deepEqual(msgpack.unpack(good, LIMITS), { a: [1, 'x'] });
    }),
    { numRuns: 3_000 },
  );
});
