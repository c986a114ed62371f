import type { Logger } from '@swarm/api';
import { type Applied, applyCommand, rejected } from './apply.js';
import { type Codec, type Command, MalformedCommandError } from './command.js';
import { KINDS } from './kinds.js';
import { deepFreeze } from './share.js';
import type { Kind, StoreChange, View } from './store.js';
import { Tables } from './tables.js';
import { Watchers } from './watchers.js';

/** Most flawed objects that are named in the log. */
export const FLAWS_LOGGED_LIMIT = 100;

export interface MemoryStateOptions {
  readonly logger: Logger;
  readonly codec: Codec;
  /** Freezes every object, so that changing one throws. For tests: it costs time. */
  readonly freeze?: boolean;
}

/** The applied state in memory: the tables and their watchers. */
export class MemoryState {
  readonly codec: Codec;
  #tables = new Tables();
  readonly #watchers: Watchers;
  readonly #logger: Logger;
  /** What was already logged about flawed objects. */
  readonly #flaws = new Map<string, string>();
  readonly #freeze: boolean;

  constructor(options: MemoryStateOptions) {
    this.codec = options.codec;
    this.#logger = options.logger;
    this.#watchers = new Watchers(options.logger);
    this.#freeze = options.freeze ?? false;
  }

  /** As `view`, but with the stored objects too, readable or not. */
  get tables(): Tables {
    return this.#tables;
  }

  /** The tables as they are now; ask again after an await, a snapshot may have replaced them. */
  get view(): View {
    return this.#tables;
  }

  /**
   * Applies one entry and calls the watchers before it returns.
   * @param data an encoded command; empty only advances the index, and has no result
   * @throws CommandFormatError
   */
  apply(index: number, data: Uint8Array): Partial<Applied> {
    const tables = this.#tables;
    if (index !== tables.index + 1)
      throw new Error(`entry ${index} cannot follow entry ${tables.index}: the log has a gap`);
    const applied: Partial<Applied> = data.length === 0 ? {} : this.#applyTo(tables, index, data);
    tables.setIndex(index);
    const { events = [], writes = [], timeMs = 0 } = applied;
    for (const { kind, id } of writes) this.#report(kind, id);
    if (this.#freeze) for (const event of events) deepFreeze(event);
    if (events.length > 0) this.#watchers.notify({ index, timeMs, reset: false, events });
    return applied;
  }

  #applyTo(tables: Tables, index: number, data: Uint8Array): Applied {
    let command: Command;
    try {
      command = this.codec.decodeCommand(data);
    } catch (error) {
      if (!(error instanceof MalformedCommandError)) throw error;
      this.#logger.error(
        { index, problem: error.message },
        'a log entry is not a command: it changes nothing',
      );
      return rejected({ reason: 'malformed', problem: error.message });
    }
    return applyCommand(tables, index, command);
  }

  /** Replaces everything: at start, or by a snapshot. Watchers get one reset. */
  reset(tables: Tables): void {
    this.#tables = tables;
    if (this.#freeze) freezeAll(tables);
    this.#flaws.clear();
    for (const kind of KINDS) for (const id of tables.flawed(kind)) this.#report(kind, id);
    this.#watchers.notify({ index: tables.index, timeMs: 0, reset: true, events: [] });
  }

  /** Logs a flawed object, once for each flaw. */
  #report(kind: Kind, id: string): void {
    const flaw = this.#tables.flaw(kind, id);
    const key = `${kind}/${id}`;
    if (flaw === undefined || flaw.faults.length === 0) {
      if (this.#flaws.size > 0) this.#flaws.delete(key);
      return;
    }
    const reason = flaw.faults.join('; ');
    if (this.#flaws.get(key) === reason) return;
    this.#flaws.set(key, reason);
    // A log full of them would say nothing more; the view still has them all.
    if (this.#flaws.size > FLAWS_LOGGED_LIMIT) return;
    const what = flaw.isMended
      ? 'a stored object has bad parts, which are left out'
      : 'a stored object cannot be read and is set aside: remove it, or make it again';
    this.#logger.warn({ kind, id, version: flaw.stored.Version.Index, reason }, what);
  }

  watch(listener: (change: StoreChange) => void): () => void {
    return this.#watchers.add(listener);
  }
}

function freezeAll(tables: Tables): void {
  for (const kind of KINDS) for (const object of tables.list(kind)) deepFreeze(object);
}
