import type { Meta } from '@swarm/api';
import { Packr } from 'msgpackr';
import { KIND_CODES, kindOfCode } from './kinds.js';
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

/** First element of every encoded command. A member that meets a higher one is too old and stops. */
export const COMMAND_FORMAT = 1;

const Action = { create: 0, update: 1, remove: 2 } as const;

type EncodedChange =
  | readonly [typeof Action.create, number, Body]
  | readonly [typeof Action.update, number, Body, number]
  | readonly [typeof Action.remove, number, string, number];
type EncodedCommand = readonly [typeof COMMAND_FORMAT, number, readonly EncodedChange[]];

/** A log entry that this version can not read. The member must stop: to go on would fork the state. */
export class CommandFormatError extends Error {
  readonly code = 'STORE_COMMAND_FORMAT';
}

/**
 * Encodes and decodes commands and objects as MessagePack: maps with their keys spelt out, so that each
 * value can be read by itself. One per store; not shared, since a packer keeps a buffer.
 */
export class Codec {
  readonly #packr = new Packr({
    useRecords: false,
    variableMapSize: true,
    // A field set to undefined is an absent field, as in JSON.
    ...({ skipValues: [undefined] } as object),
  });

  encodeCommand(command: Command): Uint8Array {
    const changes = command.changes.map(encodeChange);
    const encoded: EncodedCommand = [COMMAND_FORMAT, command.timeMs, changes];
    return this.#packr.pack(encoded);
  }

  /** @throws CommandFormatError */
  decodeCommand(data: Uint8Array): Command {
    const encoded = this.decode(data) as EncodedCommand;
    if (!Array.isArray(encoded) || encoded[0] !== COMMAND_FORMAT) {
      throw new CommandFormatError(
        'a log entry has a format this version does not know: upgrade this manager',
      );
    }
    const [, timeMs, changes] = encoded;
    return { timeMs, changes: changes.map(decodeChange) };
  }

  encode(value: unknown): Uint8Array {
    return this.#packr.pack(value);
  }

  /** @throws CommandFormatError when it is not MessagePack */
  decode(data: Uint8Array): unknown {
    try {
      return this.#packr.unpack(data);
    } catch (error) {
      throw new CommandFormatError('a stored value can not be decoded', { cause: error });
    }
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

function decodeChange(encoded: EncodedChange): Change {
  const kind = kindOfCode(encoded[1]);
  if (kind === undefined) {
    throw new CommandFormatError(
      `a log entry has kind ${encoded[1]}, which this version does not know: upgrade this manager`,
    );
  }
  switch (encoded[0]) {
    case Action.create:
      return { action: 'create', kind, body: encoded[2] };
    case Action.update:
      return { action: 'update', kind, body: encoded[2], expected: encoded[3] };
    case Action.remove:
      return { action: 'remove', kind, id: encoded[2], expected: encoded[3] };
    default:
      throw new CommandFormatError(
        'a log entry has an action this version does not know: upgrade this manager',
      );
  }
}
