import test from 'ava';
import { createEntry } from '../../src/codec/entry-codec.js';
import { decodeFrame, encodeFrame } from '../../src/codec/message-codec.js';
import { snapshotAt } from '../../src/contract/sample-log.js';
import { type Message, MessageType } from '../../src/core/message.js';
import { EntryKind } from '../../src/core/types.js';

// Frames as earlier versions wrote them. A change here means a wire format that old members do not
// understand.

const ADDRESS = { from: 2, to: 3, term: 7 };

const ENTRIES = [
  createEntry(42, 6, EntryKind.Normal, Buffer.from('42/6')),
  createEntry(43, 7, EntryKind.ConfChange, Buffer.from('43/7')),
];

interface Golden {
  readonly name: string;
  readonly message: Message;
  readonly bytes: string;
}

const GOLDEN: readonly Golden[] = [
  {
    name: 'pre vote',
    message: {
      type: MessageType.PreVote,
      ...ADDRESS,
      lastIndex: 70_000,
      lastTerm: 6,
      force: false,
    },
    bytes: '0100000013919d01020307ce0001117006000000000000c0',
  },
  {
    name: 'pre vote granted',
    message: {
      type: MessageType.PreVoteResponse,
      ...ADDRESS,
      term: 8,
      granted: true,
      commit: 0,
      commitTerm: 0,
    },
    bytes: '010000000f919d020203080000000000000000c0',
  },
  {
    name: 'pre vote refused',
    message: {
      type: MessageType.PreVoteResponse,
      ...ADDRESS,
      granted: false,
      commit: 41,
      commitTerm: 5,
    },
    bytes: '010000000f919d020203072905000100000000c0',
  },
  {
    name: 'pre vote refused for its term',
    message: {
      type: MessageType.PreVoteResponse,
      ...ADDRESS,
      granted: false,
      commit: 0,
      commitTerm: 0,
    },
    bytes: '010000000f919d020203070000000100000000c0',
  },
  {
    name: 'vote',
    message: { type: MessageType.Vote, ...ADDRESS, lastIndex: 70_000, lastTerm: 6, force: false },
    bytes: '0100000013919d03020307ce0001117006000000000000c0',
  },
  {
    name: 'vote forced',
    message: { type: MessageType.Vote, ...ADDRESS, lastIndex: 70_000, lastTerm: 6, force: true },
    bytes: '0100000013919d03020307ce0001117006000200000000c0',
  },
  {
    name: 'vote granted',
    message: {
      type: MessageType.VoteResponse,
      ...ADDRESS,
      granted: true,
      commit: 0,
      commitTerm: 0,
    },
    bytes: '010000000f919d040203070000000000000000c0',
  },
  {
    name: 'vote refused',
    message: {
      type: MessageType.VoteResponse,
      ...ADDRESS,
      granted: false,
      commit: 41,
      commitTerm: 5,
    },
    bytes: '010000000f919d040203072905000100000000c0',
  },
  {
    name: 'append empty',
    message: {
      type: MessageType.Append,
      ...ADDRESS,
      previousIndex: 41,
      previousTerm: 5,
      entries: [],
      commit: 39,
    },
    bytes: '010000000f919d050203072905270000000000c0',
  },
  {
    name: 'append',
    message: {
      type: MessageType.Append,
      ...ADDRESS,
      previousIndex: 41,
      previousTerm: 5,
      entries: ENTRIES,
      commit: 39,
    },
    bytes:
      '010000000f919d050203072905270000000232c00000000400000000000000002a000000' +
      '000000000634322f360000000401000000000000002b000000000000000734332f37',
  },
  {
    name: 'accepted',
    message: { type: MessageType.AppendResponse, ...ADDRESS, rejected: false, match: 2 ** 40 + 1 },
    bytes: '0100000017919d06020307cb427000000000100000000000000000c0',
  },
  {
    name: 'accepted nothing',
    message: { type: MessageType.AppendResponse, ...ADDRESS, rejected: false, match: 0 },
    bytes: '010000000f919d060203070000000000000000c0',
  },
  {
    name: 'rejected',
    message: {
      type: MessageType.AppendResponse,
      ...ADDRESS,
      rejected: true,
      previousIndex: 50,
      hintIndex: 44,
      hintTerm: 5,
    },
    bytes: '010000000f919d06020307320500012c000000c0',
  },
  {
    name: 'heartbeat',
    message: { type: MessageType.Heartbeat, ...ADDRESS, match: 43, commit: 41, round: 12 },
    bytes: '010000000f919d070203072b002900000c0000c0',
  },
  {
    name: 'heartbeat answered',
    message: { type: MessageType.HeartbeatResponse, ...ADDRESS, promiseMs: 799, round: 12 },
    bytes: '0100000011919d08020307cd031f000000000c0000c0',
  },
  {
    name: 'snapshot',
    message: { type: MessageType.Snapshot, ...ADDRESS, snapshot: snapshotAt(40, 6) },
    bytes:
      '010000003c919d0902030728060000000000009528069592010392010291049102c39193' +
      '01b06f6e652e6578616d706c653a32333737a86e6f64652d6f6e659109',
  },
  {
    name: 'timeout now',
    message: { type: MessageType.TimeoutNow, ...ADDRESS },
    bytes: '010000000f919d0a0203070000000000000000c0',
  },
  {
    name: 'read index',
    message: { type: MessageType.ReadIndex, ...ADDRESS, context: 4711 },
    bytes: '0100000011919d0b0203070000000000cd12670000c0',
  },
  {
    name: 'read index answered',
    message: { type: MessageType.ReadIndexResponse, ...ADDRESS, context: 4711, index: 43 },
    bytes: '0100000011919d0c0203072b00000000cd12670000c0',
  },
  {
    name: 'transfer leader',
    message: { type: MessageType.TransferLeader, ...ADDRESS },
    bytes: '010000000f919d0d0203070000000000000000c0',
  },
];

function plain(message: Message): object {
  if (message.type !== MessageType.Append) return message;
  const entries = message.entries.map(({ index, term, kind, data }) => {
    return { index, term, kind, text: Buffer.from(data).toString() };
  });
  return { ...message, entries };
}

for (const { name, message, bytes } of GOLDEN) {
  test(`the wire format is unchanged: ${name}`, (t) => {
    t.is(Buffer.from(encodeFrame([message])).toString('hex'), bytes);
    const { messages, unknownTypes } = decodeFrame(Buffer.from(bytes, 'hex'), 2);
    t.deepEqual(messages.map(plain), [plain(message)]);
    t.deepEqual(unknownTypes, []);
  });
}

test('the wire format is unchanged: several messages in a frame', (t) => {
  const of = (name: string): Message => GOLDEN.find((golden) => golden.name === name)!.message;
  const messages = [of('append'), of('heartbeat'), of('append')];
  const bytes =
    '010000002b939d050203072905270000000232c09d070203072b002900000c0000c09d05' +
    '0203072905270000000232c00000000400000000000000002a000000000000000634322f' +
    '360000000401000000000000002b000000000000000734332f3700000004000000000000' +
    '00002a000000000000000634322f360000000401000000000000002b0000000000000007' +
    '34332f37';
  t.is(Buffer.from(encodeFrame(messages)).toString('hex'), bytes);
  t.deepEqual(decodeFrame(Buffer.from(bytes, 'hex'), 2).messages.map(plain), messages.map(plain));
});

test('every type of message has recorded bytes', (t) => {
  const types = new Set(GOLDEN.map(({ message }) => message.type));
  t.deepEqual(
    Object.values(MessageType).filter((type) => !types.has(type)),
    [],
  );
});
