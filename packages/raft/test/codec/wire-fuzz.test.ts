import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import {
  createEntry,
  decodeEntries,
  EntryFormatError,
  writeFrames,
  framesBytes,
} from '../../src/codec/entry-codec.js';
import {
  decodeFrame,
  encodeFrame,
  MessageFormatError,
  WireVersionError,
} from '../../src/codec/message-codec.js';
import { PlainPackError, unpackPlain } from '../../src/codec/plain-pack.js';
import {
  decodeSnapshotMeta,
  encodeSnapshotMeta,
  SnapshotFormatError,
} from '../../src/codec/snapshot-codec.js';
import {
  ConfChangeError,
  ConfChangeOp,
  decodeConfChange,
  encodeConfChange,
  UnknownConfChangeError,
} from '../../src/core/conf-change.js';
import { type Message, MessageType } from '../../src/core/message.js';
import { EntryKind, type SnapshotMeta } from '../../src/core/types.js';
import { announcement, message } from '../support/messages.js';
import { decodeHello, encodeHello, HELLO_LIMIT_BYTES } from '../../src/transport/hello.js';
import {
  headerFrame,
  PIECE_LIMIT_BYTES,
  readAt,
  readHeader,
  refusedFrame,
  reasonIn,
  SnapshotPosition,
} from '../../src/transport/snapshot-frames.js';

const RUNS = { numRuns: 2_000 };
const FROM = 2;

const META: SnapshotMeta = {
  index: 90,
  term: 7,
  conf: { voters: [1, 2], votersOutgoing: [], learners: [3], learnersNext: [], autoLeave: false },
  members: [
    { id: 1, address: '198.18.0.1:2377', nodeId: 'node-one' },
    { id: 2, address: '[fd00::2]:2377', nodeId: 'node-two' },
    { id: 3, address: 'three.example:2377', nodeId: 'node-three' },
  ],
  removed: [4, 2 ** 40],
};

const ENTRIES = [
  createEntry(5, 1, EntryKind.Normal, Uint8Array.of(1, 2, 3)),
  createEntry(6, 2, EntryKind.ConfChange, new Uint8Array(0)),
  createEntry(7, 2, EntryKind.Normal, new Uint8Array(300)),
];

const ANNOUNCEMENT = announcement(FROM, 1, 1, META);

const MESSAGES: readonly Message[] = [
  message(MessageType.Heartbeat, FROM, 1, { term: 2 ** 40, commit: 70_000 }),
  message(MessageType.Append, FROM, 1, {
    term: 2,
    entries: ENTRIES,
    previousIndex: 4,
    previousTerm: 1,
  }),
  ANNOUNCEMENT,
];

/** How hostile hands may change bytes on their way. */
function mutations(original: Uint8Array): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('set', 'insert', 'remove', 'cut', 'append'),
    byte: fc.oneof(
      fc.nat(255),
      fc.constantFrom(
        0,
        0x7f,
        0x80,
        0x90,
        0xc0,
        0xc1,
        0xc4,
        0xcb,
        0xcf,
        0xd3,
        0xd4,
        0xdd,
        0xdf,
        0xff,
      ),
    ),
  });
  return fc.array(edit, { minLength: 1, maxLength: 5 }).map((edits) => {
    let bytes = [...original];
    for (const { at, kind, byte } of edits) {
      const place = bytes.length === 0 ? 0 : at % bytes.length;
      if (kind === 'set') bytes[place] = byte;
      else if (kind === 'insert') bytes.splice(place, 0, byte);
      else if (kind === 'remove') bytes.splice(place, 1);
      else if (kind === 'cut') bytes = bytes.slice(0, place);
      else bytes.push(byte);
    }
    return Uint8Array.from(bytes);
  });
}

/** Bytes near a real value, and any others. */
function hostile(original: Uint8Array): fc.Arbitrary<Uint8Array> {
  return fc.oneof({ weight: 4, arbitrary: mutations(original) }, fc.uint8Array({ maxLength: 200 }));
}

type ErrorClass = abstract new (...args: never[]) => Error;

/**
 * The value; undefined when the decoder refuses with one of its own errors. Throws anything else.
 */
function decodeOr<T>(decode: () => T, own: readonly ErrorClass[]): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (own.some((each) => error instanceof each)) return undefined;
    throw error;
  }
}

/** An accepted value survives being sent on: it means the same to the next reader. */
function survives<T>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
  own: readonly ErrorClass[],
): void {
  const value = decodeOr(() => decode(bytes), own);
  if (value === undefined) return;
  const again = encode(value);
  if (Buffer.compare(encode(decode(again)), again) !== 0) throw new Error('it changes on the way');
}

test('a plain value is read as it was written, and nothing else is', (t) => {
  const packr = new Packr({ useRecords: false });
  const { plain } = fc.letrec((tie) => ({
    leaf: fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: 'grapheme', maxLength: 300 }),
    ),
    plain: fc.oneof({ maxDepth: 4 }, tie('leaf'), fc.array(tie('plain'), { maxLength: 40 })),
  }));
  fc.assert(
    fc.property(plain, (value) => {
      t.deepEqual(unpackPlain(packr.pack(value)), value as never);
    }),
    { numRuns: 500 },
  );
  for (const bad of [
    -1,
    1.5,
    2 ** 60,
    2n ** 60n,
    new Date(0),
    { a: 1 },
    Buffer.of(1),
    Number.NaN,
  ]) {
    t.throws(() => unpackPlain(packr.pack([bad])), { instanceOf: PlainPackError });
  }
  // Lists in lists, and lengths far beyond the bytes: refused before anything is allocated for
  // them.
  t.throws(() => unpackPlain(new Uint8Array(1_000_000).fill(0x91)), { instanceOf: PlainPackError });
  const huge = Buffer.from('dd7fffffff'.repeat(4), 'hex');
  t.throws(() => unpackPlain(huge), { instanceOf: PlainPackError, message: /cut off/ });
  t.throws(() => unpackPlain(Uint8Array.of(1, 1)), { message: /after the value/ });
  t.throws(() => unpackPlain(Uint8Array.of(0xa1, 0xff)), { message: /UTF-8/ });
});

test('any bytes are a frame that can be sent on, or are refused', (t) => {
  const own = [MessageFormatError, WireVersionError];
  for (const original of [...MESSAGES.map((one) => encodeFrame([one])), encodeFrame(MESSAGES)]) {
    fc.assert(
      fc.property(hostile(original), (bytes) => {
        survives(
          bytes,
          (from) => decodeFrame(from, FROM).messages,
          (messages) => encodeFrame(messages),
          own,
        );
      }),
      RUNS,
    );
  }
  t.pass();
});

test('any bytes are entries, a snapshot description or a hello, or are refused', (t) => {
  const block = new Uint8Array(framesBytes(ENTRIES));
  writeFrames(ENTRIES, block, 0);
  fc.assert(
    fc.property(hostile(block), fc.nat(5), (bytes, count) => {
      const entries = decodeOr(() => decodeEntries(bytes, count), [EntryFormatError]);
      if (entries === undefined) return;
      const again = new Uint8Array(framesBytes(entries));
      writeFrames(entries, again, 0);
      t.deepEqual(again, new Uint8Array(bytes));
    }),
    RUNS,
  );
  fc.assert(
    fc.property(hostile(encodeSnapshotMeta(META)), (bytes) => {
      survives(bytes, decodeSnapshotMeta, encodeSnapshotMeta, [SnapshotFormatError]);
    }),
    RUNS,
  );
  const transfer = { number: 3, connection: 2, held: 2 ** 40 };
  fc.assert(
    fc.property(hostile(encodeHello({ clusterId: 'c', from: 1, to: 2, transfer })), (bytes) => {
      const hello = decodeHello(bytes);
      if (!('code' in hello)) t.deepEqual(decodeHello(encodeHello(hello)), hello);
    }),
    RUNS,
  );
});

test('any bytes are a frame of a snapshot, or are refused', (t) => {
  const own = [MessageFormatError, WireVersionError];
  const sent = new SnapshotPosition();
  const chunk = sent.chunkFrame(Uint8Array.of(1, 2, 3));
  const frames = [headerFrame(ANNOUNCEMENT, META), chunk, sent.endFrame(), sent.atFrame()];
  for (const original of [...frames, refusedFrame('no room')]) {
    fc.assert(
      fc.property(hostile(original), (bytes) => {
        decodeOr(() => readHeader(bytes, FROM), own);
        decodeOr(() => readAt(bytes), own);
        decodeOr(() => new SnapshotPosition().readChunk(bytes), own);
        decodeOr(() => new SnapshotPosition().readEnd(bytes), own);
        t.true(reasonIn(bytes).length <= 500);
      }),
      RUNS,
    );
  }
});

test('any bytes are a membership change, or one that has no effect or stops the member', (t) => {
  const change = {
    changes: [
      { op: ConfChangeOp.AddVoter, id: 1, info: META.members[0]! },
      { op: ConfChangeOp.Remove, id: 2 },
    ],
  };
  fc.assert(
    fc.property(hostile(encodeConfChange(change)), (bytes) => {
      survives(bytes, decodeConfChange, encodeConfChange, [
        ConfChangeError,
        UnknownConfChangeError,
      ]);
    }),
    RUNS,
  );
  const bad = [
    '',
    '{}',
    '[1]',
    '[[1,1.5]]',
    '[[1,0]]',
    '[[1,1,"a"]]',
    '[[1,1,"a b:1","n"]]',
    '[["1",1]]',
  ];
  for (const text of bad) {
    t.throws(() => decodeConfChange(Buffer.from(text)), { instanceOf: ConfChangeError }, text);
  }
  t.throws(() => decodeConfChange(Buffer.from('[[9,1]]')), { instanceOf: UnknownConfChangeError });
});

test('an impossible hello, piece or configuration is refused', (t) => {
  const long = encodeHello({ clusterId: 'c'.repeat(HELLO_LIMIT_BYTES), from: 1, to: 2 });
  t.like(decodeHello(long), { reason: `a hello of ${long.length} bytes` });
  const piece = new SnapshotPosition().chunkFrame(new Uint8Array(PIECE_LIMIT_BYTES + 1));
  t.throws(() => new SnapshotPosition().readChunk(piece), { message: /a piece of/ });
  const metas: readonly Partial<SnapshotMeta>[] = [
    { conf: { ...META.conf, learners: [1] } },
    { conf: { ...META.conf, voters: [1, 1] } },
    { conf: { ...META.conf, voters: [0] } },
    { members: [META.members[0]!, META.members[0]!] },
    { members: [{ id: 1, address: 'evil.example/raft?:1', nodeId: 'n' }] },
    { members: [{ id: 1, address: 'a:1\nb', nodeId: 'n' }] },
    { members: [{ id: 1, address: 'a:1', nodeId: 'n'.repeat(301) }] },
  ];
  for (const part of metas) {
    const bytes = encodeSnapshotMeta({ ...META, ...part });
    t.throws(() => decodeSnapshotMeta(bytes), { instanceOf: SnapshotFormatError });
  }
});
