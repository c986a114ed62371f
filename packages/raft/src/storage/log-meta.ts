import { Packr } from 'msgpackr';
import { unpackPlain } from '../codec/plain-pack.js';
import { type SnapshotTuple, snapshotFromTuple, snapshotToTuple } from '../codec/snapshot-codec.js';
import type { HardState, SnapshotMeta } from '../core/types.js';
import type { RecordCipher } from './cipher.js';
import { RecordDamagedError, unwrap, wrap } from './envelope.js';

/** Where the log begins. Durable before anything below it is deleted. */
export interface LogMeta {
  /** The first record to read. Records below it do not count, whether they still exist or not. */
  readonly firstSequence: number;
  /** All records below are already deleted; from here to `firstSequence` some may be left. */
  readonly deletedBelow: number;
  /** As of the compaction. Records from `firstSequence` on override it. */
  readonly hardState: HardState;
  /** The log holds the entries after `snapshot.index`. */
  readonly snapshot: SnapshotMeta;
}

type MetaTuple = readonly [
  firstSequence: number,
  deletedBelow: number,
  term: number,
  vote: number,
  commit: number,
  snapshot: SnapshotTuple,
];

const packr = new Packr({ useRecords: false });

export function encodeLogMeta(meta: LogMeta, cipher: RecordCipher): Uint8Array {
  const { term, vote, commit } = meta.hardState;
  const snapshot = snapshotToTuple(meta.snapshot);
  const tuple: MetaTuple = [meta.firstSequence, meta.deletedBelow, term, vote, commit, snapshot];
  return wrap(packr.pack(tuple), cipher);
}

/** @throws RecordDamagedError, RecordUnreadableError */
export function decodeLogMeta(value: Uint8Array, cipher: RecordCipher): LogMeta {
  const body = unwrap(value, cipher);
  try {
    const value = unpackPlain(body) as MetaTuple;
    const [firstSequence, deletedBelow, term, vote, commit, snapshot] = value;
    if (!value.slice(0, 5).every(Number.isSafeInteger)) throw new Error('a field is not a number');
    return {
      firstSequence,
      deletedBelow,
      hardState: { term, vote, commit },
      snapshot: snapshotFromTuple(snapshot),
    };
  } catch (cause) {
    throw new RecordDamagedError('the start of the log cannot be read', { cause });
  }
}

/** How often the store was opened, kept in the database; see identity-file.ts. */
export function encodeIncarnation(incarnation: number, cipher: RecordCipher): Uint8Array {
  return wrap(packr.pack([incarnation]), cipher);
}

/** @throws RecordDamagedError, RecordUnreadableError */
export function decodeIncarnation(value: Uint8Array, cipher: RecordCipher): number {
  const body = unwrap(value, cipher);
  let incarnation: unknown;
  try {
    [incarnation] = unpackPlain(body) as [unknown];
  } catch (cause) {
    throw new RecordDamagedError('the incarnation cannot be read', { cause });
  }
  if (Number.isSafeInteger(incarnation)) return incarnation as number;
  throw new RecordDamagedError('the incarnation is not a number');
}
