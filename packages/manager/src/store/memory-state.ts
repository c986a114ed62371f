import type { Logger } from '@swarm/api';
import { type ApplyResult, applyCommand } from './apply.js';
import type { Codec } from './command.js';
import { KINDS } from './kinds.js';
import { deepFreeze } from './share.js';
import type { StoreChange, StoreEvent, View } from './store.js';
import { Tables } from './tables.js';
import { Watchers } from './watchers.js';

export interface MemoryStateOptions {
  readonly logger: Logger;
  readonly codec: Codec;
  /** Freeze every object, so that whoever changes one throws. For tests: it costs time. */
  readonly freeze?: boolean;
}

/** The applied state in memory: tables, and who watches them. */
export class MemoryState {
  readonly codec: Codec;
  #tables = new Tables();
  readonly #watchers: Watchers;
  readonly #freeze: boolean;

  constructor(options: MemoryStateOptions) {
    this.codec = options.codec;
    this.#watchers = new Watchers(options.logger);
    this.#freeze = options.freeze ?? false;
  }

  /** The tables as they are now; ask again after an await, a snapshot may have replaced them. */
  get view(): View {
    return this.#tables;
  }

  /**
   * Applies one entry. Watchers are told before it returns.
   * @param data an encoded command; empty only advances the index
   */
  apply(
    index: number,
    data: Uint8Array,
  ): { readonly result: ApplyResult | undefined; readonly events: readonly StoreEvent[] } {
    const tables = this.#tables;
    if (index !== tables.index + 1)
      throw new Error(`entry ${index} can not follow entry ${tables.index}: the log has a gap`);
    if (data.length === 0) {
      tables.setIndex(index);
      return { result: undefined, events: [] };
    }
    const { result, events } = applyCommand(tables, index, this.codec.decodeCommand(data));
    tables.setIndex(index);
    if (this.#freeze) for (const event of events) deepFreeze(event);
    if (events.length > 0) this.#watchers.notify({ index, reset: false, events });
    return { result, events };
  }

  /** Replaces everything: at start, or by a snapshot. Watchers get one reset. */
  reset(tables: Tables): void {
    this.#tables = tables;
    if (this.#freeze) freezeAll(tables);
    this.#watchers.notify({ index: tables.index, reset: true, events: [] });
  }

  watch(listener: (change: StoreChange) => void): () => void {
    return this.#watchers.add(listener);
  }
}

function freezeAll(tables: Tables): void {
  for (const kind of KINDS) for (const object of tables.list(kind)) deepFreeze(object);
}
