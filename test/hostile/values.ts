import fc, { type Arbitrary } from 'fast-check';
import { type Knowledge, tasksOfSpeaker } from './facts.js';
import { Raw } from './msgpack-writer.js';

const DEEP = 10_000;
const LONG = 70_000;
const VERY_LONG = 1_100_000;

/** Texts that a shell, a terminal, a path, a batch file, a log or JSON may interpret. */
export const TEXTS: readonly string[] = [
  '',
  ' ',
  '\n',
  'a\nb',
  '\r\n\r\nGET / HTTP/1.1\r\n\r\n',
  '198.18.0.9\nlink delete swarm0',
  '$(touch /tmp/hostile)',
  '`id`',
  '; reboot',
  "'; --",
  '../../../../etc/passwd',
  '\u001b]0;title\u0007\u001b[2J',
  '\u0000',
  'a\u0000b',
  '\ud800',
  'x\udfffy',
  '\u202Eabc',
  '\uFEFF',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '{{.Task.ID}}',
  '%00%2e%2e%2f',
  'x'.repeat(300),
];

/** Addresses, and texts that look like one. */
export const ADDRESSES: readonly string[] = [
  '169.254.169.254',
  '0.0.0.0',
  '127.0.0.1',
  '255.255.255.255',
  '224.0.0.1',
  '::',
  '::1',
  'fe80::1%lo',
  '::ffff:169.254.169.254',
  '198.18.0.1',
  '198.18.0.1/24',
  '198.18.0.1:4789',
  '198.18.0.01',
  '0x7f.1',
  '2130706433',
  '198.18.0.1 ',
  '198.18.0.1\n',
  '10.240.0.1',
  '999.1.1.1',
  'localhost',
  'node.example.test',
];

/** Times, and texts that a lenient parser accepts as one. */
export const TIMES: readonly string[] = [
  '2026-11-23T17:06:33.626290978Z',
  '1970-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '+275760-09-13T00:00:00.000Z',
  '-000001-01-01T00:00:00Z',
  '2026-02-30T25:61:61Z',
  '1',
  'Tue, 23 Nov 2026 17:06:33 GMT',
  '2026-11-23',
  'Invalid Date',
  'now',
];

const NUMBERS: readonly (number | bigint)[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  255,
  256,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER + 1,
  Number.MIN_SAFE_INTEGER,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  2n ** 63n,
  2n ** 64n - 1n,
  -(2n ** 63n),
  2n ** 53n,
];

/** Pieces of MessagePack that none of our encoders makes. */
const PIECES: readonly (readonly [string, Buffer])[] = [
  ['deep arrays', Buffer.concat([Buffer.alloc(DEEP, 0x91), Buffer.from([0xc0])])],
  [
    'deep maps',
    Buffer.concat([
      Buffer.concat(Array.from({ length: DEEP }, () => Buffer.from([0x81, 0xa1, 0x61]))),
      Buffer.from([0xc0]),
    ]),
  ],
  ['a timestamp extension', Buffer.from([0xd6, 0xff, 0, 0, 0, 0])],
  ['an extension of type 1', Buffer.from([0xd4, 1, 0])],
  ['an extension, long', Buffer.from([0xc7, 3, 0x72, 1, 2, 3])],
  ['a record definition', Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01])],
  ['a set extension', Buffer.from([0xd4, 0x73, 0, 0x90])],
  ['an error extension', Buffer.from([0xd4, 0x65, 0, 0x93, 0xa1, 0x61, 0xa1, 0x62, 0xa1, 0x63])],
  [
    'a regular expression',
    Buffer.from([0xd4, 0x78, 0, 0x92, 0xa6, 0x28, 0x61, 0x2b, 0x29, 0x2b, 0x24, 0xa0]),
  ],
  ['a pointer extension', Buffer.from([0xd6, 0x70, 0, 0, 0, 1])],
  ['a bigint extension', Buffer.from([0xc7, 9, 0x42, 255, 255, 255, 255, 255, 255, 255, 255, 255])],
  ['a list of 2^32-1', Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
  ['a map of 2^32-1', Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff])],
  ['a text of 2^32-1', Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff])],
  ['bytes of 2^32-1', Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff])],
  ['a text that is not UTF-8', Buffer.from([0xa3, 0xff, 0xc0, 0x80])],
  ['a map with a list as key', Buffer.from([0x81, 0x90, 0x01])],
  ['a map with one key twice', Buffer.from([0x82, 0xa1, 0x61, 0x01, 0xa1, 0x61, 0x02])],
  [
    'a map with __proto__',
    Buffer.concat([
      Buffer.from([0x81, 0xa9]),
      Buffer.from('__proto__'),
      Buffer.from([0x81, 0xa5]),
      Buffer.from('admin'),
      Buffer.from([0xc3]),
    ]),
  ],
  ['the byte that is never used', Buffer.from([0xc1])],
  ['a number in nine bytes', Buffer.from([0xcf, 0, 0, 0, 0, 0, 0, 0, 1])],
];

/** Ids of others, of the attacker's own nodes, and of nothing. */
export function ids(known: Knowledge): Arbitrary<string> {
  const from = (list: () => readonly string[]) =>
    fc.nat(1_000_000).map((draw) => {
      const all = list();
      return all.length === 0 ? 'nobody' : all[draw % all.length]!;
    });
  return fc.oneof(
    from(() => known.tasks),
    from(() => tasksOfSpeaker(known)),
    from(() => known.nodes),
    from(() => known.services),
    from(() => known.networks),
    fc.constantFrom('nobody', '', '..', known.clusterId, ...TEXTS),
    fc.string({
      minLength: 25,
      maxLength: 25,
      unit: fc.constantFrom(...'0123456789abcdefghijklmnopqrstuvwxyz'),
    }),
  );
}

/** Any text. */
export function texts(known: Knowledge): Arbitrary<string> {
  return fc.oneof(
    { weight: 80, arbitrary: fc.constantFrom(...TEXTS) },
    { weight: 40, arbitrary: fc.constantFrom(...ADDRESSES) },
    { weight: 20, arbitrary: fc.constantFrom(...TIMES) },
    { weight: 40, arbitrary: ids(known) },
    { weight: 60, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
    { weight: 1, arbitrary: fc.constant('y'.repeat(LONG)) },
  );
}

/** Any value that MessagePack can express, and some that it cannot. */
export function values(known: Knowledge): Arbitrary<unknown> {
  const leaf = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom<unknown>(...NUMBERS) },
    { weight: 6, arbitrary: texts(known) },
    { weight: 3, arbitrary: fc.constantFrom<unknown>(null, true, false, [], {}) },
    { weight: 2, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    { weight: 3, arbitrary: fc.constantFrom(...PIECES).map(([, bytes]) => new Raw(bytes)) },
    { weight: 1, arbitrary: fc.double() },
  );
  return fc.oneof(
    { weight: 320, arbitrary: leaf },
    { weight: 40, arbitrary: fc.array(leaf, { maxLength: 5 }) },
    {
      weight: 40,
      arbitrary: fc.dictionary(
        fc.oneof(fc.constantFrom(...TEXTS), fc.string({ maxLength: 10 })),
        leaf,
        {
          maxKeys: 5,
        },
      ),
    },
    { weight: 1, arbitrary: fc.nat(3).map((kind) => large(kind)) },
  );
}

/** Values whose size is the point. */
function large(kind: number): unknown {
  switch (kind) {
    case 0:
      return 'z'.repeat(VERY_LONG);
    case 1:
      return new Uint8Array(LONG);
    case 2:
      return Array.from({ length: DEEP }, (_, i) => i);
    default:
      return Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`key${i}`, i]));
  }
}
