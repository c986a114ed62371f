import type { Level } from 'level';
import { KIND_CODES, kindOfCode } from './kinds.js';
import type { Kind } from './store.js';

/**
 * The state's database. Keys:
 *
 *     format              version of this layout
 *     current             the generation in use
 *     last                highest generation ever started
 *     g<generation>/applied          log index of the generation's state
 *     g<generation>/o<kind>/<id>     one object each
 *
 * A restore writes the snapshot as a new generation beside the old one; one synced write of `current` then
 * makes it the state. Any other generation is a leftover.
 *
 * These are the few things that the state needs of LevelDB; another database can be passed in.
 */
export interface Database {
  get(key: string, options?: { snapshot?: DatabaseSnapshot }): Promise<Uint8Array | undefined>;
  /** On disk when it resolves. */
  put(key: string, value: Uint8Array, options: { sync: true }): Promise<void>;
  /** Collects changes for `write` to make atomically. */
  batch(): DatabaseBatch;
  /** In order of keys. */
  iterator(options: IteratorOptions): DatabaseIterator;
  clear(range: KeyRange): Promise<void>;
  snapshot(): DatabaseSnapshot;
  close(): Promise<void>;
}

export interface KeyRange {
  readonly gte: string;
  readonly lt: string;
}

export interface IteratorOptions extends KeyRange {
  readonly snapshot?: DatabaseSnapshot;
  /** Bytes that are read ahead. */
  readonly highWaterMarkBytes?: number;
}

export interface DatabaseIterator {
  /** Returns at most this many of the next entries; none at the end. */
  nextv(size: number): Promise<[string, Uint8Array][]>;
  close(): Promise<void>;
}

export interface DatabaseBatch {
  put(key: string, value: Uint8Array): DatabaseBatch;
  del(key: string): DatabaseBatch;
  /** On disk when it resolves. */
  write(options: { sync: true }): Promise<void>;
  close(): Promise<void>;
}

/** The database as it was, while writes go on. */
export interface DatabaseSnapshot {
  close(): Promise<void>;
}

export const DATABASE_FORMAT = 1;
export const FORMAT_KEY = 'format';
export const CURRENT_KEY = 'current';
export const LAST_KEY = 'last';

/** LevelDB's memory. Small, because reads come from our own tables and do not need its cache. */
const CACHE_BYTES = 1024 * 1024;
const WRITE_BUFFER_BYTES = 2 * 1024 * 1024;

/** The database was written by a newer version, or is damaged. The member must not start on it. */
export class StateDatabaseError extends Error {
  readonly code = 'STORE_DATABASE';
}

/** Opens or makes the database in a folder. LevelDB locks it against a second process. */
export async function openDatabase(folder: string): Promise<Level<string, Uint8Array>> {
  // Loaded here, so that a worker, which has no store, does not pay for it.
  const { Level } = await import('level');
  const database = new Level<string, Uint8Array>(folder, {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
  });
  await database.open();
  return database;
}

/** The range of all keys of a generation. */
export function generationRange(generation: number): { readonly gte: string; readonly lt: string } {
  return { gte: prefixOf(generation), lt: `g${padded(generation)}0` };
}

export function appliedKey(generation: number): string {
  return `${prefixOf(generation)}applied`;
}

export function objectKey(generation: number, kind: Kind, id: string): string {
  return `${prefixOf(generation)}o${KIND_CODES[kind]}/${id}`;
}

/** Keys of all objects of a generation: sorted by kind, then by id. */
export function objectRange(generation: number): { readonly gte: string; readonly lt: string } {
  const prefix = prefixOf(generation);
  return { gte: `${prefix}o`, lt: `${prefix}p` };
}

/** @throws StateDatabaseError for a kind that this version does not know */
export function kindOfKey(key: string): Kind {
  const start = key.indexOf('/') + 2;
  const kind = kindOfCode(Number(key.slice(start, key.indexOf('/', start))));
  if (kind === undefined) {
    throw new StateDatabaseError(
      `the state has an object of a kind this version does not know (${key}): upgrade this manager`,
    );
  }
  return kind;
}

export function idOfKey(key: string): string {
  return key.slice(key.indexOf('/', key.indexOf('/') + 1) + 1);
}

export function encodeNumber(value: number): Uint8Array {
  return new TextEncoder().encode(String(value));
}

/** @throws StateDatabaseError when it is not a whole number */
export function decodeNumber(key: string, value: Uint8Array): number {
  const number = Number(new TextDecoder().decode(value));
  if (!Number.isSafeInteger(number) || number < 0)
    throw new StateDatabaseError(`the state is damaged: ${key} is not a number`);
  return number;
}

function prefixOf(generation: number): string {
  return `g${padded(generation)}/`;
}

function padded(generation: number): string {
  return String(generation).padStart(10, '0');
}
