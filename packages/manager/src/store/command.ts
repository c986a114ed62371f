import { featureLevelProblem, isObjectId, type Meta, PROGRAM, type Program } from '@swarm/api';
import { checkFrame, MsgpackError, type MsgpackLimits } from '@swarm/api/wire';
import { Packr } from 'msgpackr';
import { levelOf } from './feature-levels.js';
import { KIND_CODES, kindOfCode } from './kinds.js';
import { bodyProblem, isVersion, storedProblem } from './object-head.js';
import type { Kind, Objects } from './store.js';

/** An object without what the store adds when it applies the change. */
export type Body<K extends Kind = Kind> = Omit<Objects[K], Exclude<keyof Meta, 'ID'>>;

/** One change with its precondition. `expected` is the version the object must still have. */
export type Change =
  | { readonly action: 'create'; readonly kind: Kind; readonly body: Body }
  | {
      readonly action: 'update';
      readonly kind: Kind;
      readonly body: Body;
      readonly expected: number;
    }
  | {
      readonly action: 'remove';
      readonly kind: Kind;
      readonly id: string;
      readonly expected: number;
    };

/** What a log entry holds: changes that all happen, or none. */
export interface Command {
  /** The proposer's wall clock, milliseconds since the epoch: CreatedAt and UpdatedAt on every member. */
  readonly timeMs: number;
  readonly changes: readonly Change[];
}

/**
 * First element of every encoded command, of later formats too: a list of up to 15 elements, the first of them a
 * number below 128. A member that meets a higher one than its own is too old and stops. It rises only for a
 * change of the encoding itself: new kinds, actions and fields come with a feature level (feature-levels.ts),
 * and the entry that raises the cluster to that level is the last one that an older member reads.
 */
export const COMMAND_FORMAT = 1;

const Action = { create: 0, update: 1, remove: 2 } as const;
/**
 * Bounds on what is decoded at all. Dates and 64-bit numbers pass: no shape has them, but an older version let
 * them into the log, and every member has to apply them alike.
 */
const LIMITS: MsgpackLimits = {
  bytes: 64 * 1024 * 1024,
  values: Number.MAX_SAFE_INTEGER,
  // Packing goes down as deep, and an object that is applied must be written to the database.
  depth: 200,
  stored: true,
};
/** MessagePack's type of a list of up to 15 elements. */
const LIST_TYPE = 0x90;
/** Elements of a command, and of a change by its action. */
const COMMAND_FIELDS = 3;
const CHANGE_FIELDS: readonly (number | undefined)[] = [3, 4, 4];
/** The end of the year 9999: a later time has no RFC 3339 form. */
const TIME_LAST_MS = Date.UTC(10_000, 0) - 1;

type EncodedChange =
  | readonly [typeof Action.create, number, Body]
  | readonly [typeof Action.update, number, Body, number]
  | readonly [typeof Action.remove, number, string, number];
type EncodedCommand = readonly [typeof COMMAND_FORMAT, number, readonly EncodedChange[]];

/** A log entry of a newer version. The member must stop: skipping an entry that others apply forks the state. */
export class CommandFormatError extends Error {
  readonly code = 'STORE_COMMAND_FORMAT';
}

/**
 * Bytes that no version writes as a command. Every command is a list whose first element is the format; for
 * this format we check everything that applying, the indexes and the database rely on. All members reject
 * such an entry, so it changes nothing, and no member stops. We do not check the objects' other fields: an
 * older version let bad ones in, which every member must apply alike.
 */
export class MalformedCommandError extends Error {
  readonly code = 'STORE_COMMAND_MALFORMED';
}

/** Bytes in the database or in a snapshot that are not an object. */
export class UndecodableError extends Error {
  readonly code = 'STORE_UNDECODABLE';
}

/**
 * Encodes and decodes commands and objects as MessagePack: maps with their keys spelt out, so that each
 * value can be read by itself. One per store; not shared, since a packer keeps a buffer.
 */
export class Codec {
  readonly #program: Program;
  readonly #packr = new Packr({
    useRecords: false,
    variableMapSize: true,
    // A field set to undefined is an absent field, as in JSON.
    ...({ skipValues: [undefined] } as object),
  });

  /** @param program what this member can do; another one's in tests */
  constructor(program = PROGRAM) {
    this.#program = program;
  }

  encodeCommand(command: Command): Uint8Array {
    const changes = command.changes.map(encodeChange);
    const encoded: EncodedCommand = [COMMAND_FORMAT, command.timeMs, changes];
    return this.#packr.pack(encoded);
  }

  /**
   * A function of the bytes alone, so every member decides alike.
   * @throws MalformedCommandError when no version can have written it
   * @throws CommandFormatError when only a newer version can tell what it says
   */
  decodeCommand(data: Uint8Array): Command {
    checkFormat(data);
    const [, timeMs, changes] = this.#unpack(data, MalformedCommandError) as readonly unknown[];
    if (!isVersion(timeMs) || timeMs > TIME_LAST_MS) throw new MalformedCommandError('no time');
    if (!Array.isArray(changes)) throw new MalformedCommandError('no changes');
    const decoded = decodeChanges(changes);
    for (const change of decoded) this.#checkLevel(change);
    return { timeMs, changes: decoded };
  }

  /** Every entry after one that raises the level may hold what this program does not know. */
  #checkLevel(change: Change): void {
    if (change.kind !== 'cluster' || change.action === 'remove') return;
    const level = levelOf(change.body as Partial<Objects['cluster']>);
    if (level <= this.#program.FeatureLevel.Newest) return;
    throw new CommandFormatError(featureLevelProblem('this node', this.#program, level));
  }

  encode(value: unknown): Uint8Array {
    return this.#packr.pack(value);
  }

  /** @throws UndecodableError when it is not MessagePack of plain data */
  decode(data: Uint8Array): unknown {
    return this.#unpack(data, UndecodableError);
  }

  #unpack(
    data: Uint8Array,
    Problem: new (message: string, options: ErrorOptions) => Error,
  ): unknown {
    try {
      checkFrame(data, LIMITS);
    } catch (error) {
      if (!(error instanceof MsgpackError)) throw error;
      throw new Problem(`the value ${error.message}`, { cause: error });
    }
    return this.#packr.unpack(data);
  }

  /**
   * Decodes a record of the database or of a snapshot. Its fields may be bad; `readObject` deals with those.
   * @param id the one in the record's key
   * @throws UndecodableError when the id or version is bad, since changes are checked against them
   */
  decodeObject(data: Uint8Array, id?: string): Objects[Kind] {
    const object = this.decode(data);
    const problem = storedProblem(object, id);
    if (problem !== undefined) throw new UndecodableError(`a stored object is damaged: ${problem}`);
    return object as Objects[Kind];
  }
}

function encodeChange(change: Change): EncodedChange {
  const kind = KIND_CODES[change.kind];
  switch (change.action) {
    case 'create':
      return [Action.create, kind, change.body];
    case 'update':
      return [Action.update, kind, change.body, change.expected];
    case 'remove':
      return [Action.remove, kind, change.id, change.expected];
  }
}

/** The first two bytes: MessagePack's list of so many elements, and a number below 128. */
function checkFormat(data: Uint8Array): void {
  const [head = 0, format = 0] = data;
  if ((head & 0xf0) !== LIST_TYPE || format === 0 || format > 0x7f)
    throw new MalformedCommandError('it has no format');
  if (format > COMMAND_FORMAT) throw new CommandFormatError(newer('format', format));
  if (head !== (LIST_TYPE | COMMAND_FIELDS))
    throw new MalformedCommandError(`a command of ${head & 0x0f} fields`);
}

function decodeChanges(encoded: readonly unknown[]): Change[] {
  const changes = encoded.map(decodeChange);
  const objects = new Set<string>();
  for (const change of changes) {
    const key = `${change.kind}/${change.action === 'remove' ? change.id : change.body.ID}`;
    // Each is held against the state before the command: the second one of an object could not be.
    if (objects.has(key)) throw new MalformedCommandError(`${key} is changed twice`);
    objects.add(key);
  }
  return changes;
}

function decodeChange(encoded: unknown): Change {
  if (!Array.isArray(encoded)) throw new MalformedCommandError('a change is not a list');
  const [action, code, what, expected] = encoded as unknown[];
  const kind = kindIn(code);
  if (!isVersion(action)) throw new MalformedCommandError('a change without an action');
  const length = CHANGE_FIELDS[action];
  if (length === undefined) throw new CommandFormatError(newer('action', action));
  if (encoded.length !== length)
    throw new MalformedCommandError(`a change with ${encoded.length} fields`);
  if (action !== Action.create && !isVersion(expected))
    throw new MalformedCommandError('a change without the version it was made from');
  if (action === Action.remove) {
    if (!isObjectId(what)) throw new MalformedCommandError('a removal without an id');
    return { action: 'remove', kind, id: what, expected: expected as number };
  }
  const problem = bodyProblem(what);
  if (problem !== undefined) throw new MalformedCommandError(problem);
  const body = what as Body;
  return action === Action.create
    ? { action: 'create', kind, body }
    : { action: 'update', kind, body, expected: expected as number };
}

function kindIn(code: unknown): Kind {
  if (!isVersion(code) || code === 0) throw new MalformedCommandError('a change without a kind');
  const kind = kindOfCode(code);
  if (kind === undefined) throw new CommandFormatError(newer('kind', code));
  return kind;
}

function newer(what: string, value: unknown): string {
  return `a log entry has ${what} ${String(value)}, which this version does not know: upgrade this manager`;
}
