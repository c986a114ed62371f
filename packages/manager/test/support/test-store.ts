import { type Clock, type Logger, silentLogger } from '@swarm/api';
import type { ApplyResult } from '../../src/store/apply.js';
import { type Body, type Change, Codec } from '../../src/store/command.js';
import { KINDS } from '../../src/store/kinds.js';
import { MemoryState } from '../../src/store/memory-state.js';
import { ReplicatedStore } from '../../src/store/replicated-store.js';
import type { Kind, StoreChange } from '../../src/store/store.js';
import { CountedTables, type Visits } from './counted-tables.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from './start-time.js';

export interface TestStoreOptions {
  /** Default: a VirtualClock. */
  readonly clock?: Clock;
  /** Default: silent. Errors of watchers go here. */
  readonly logger?: Logger;
}

/** A store without Raft: each transaction is one entry, applied in the next microtask. */
export class TestStore extends ReplicatedStore {
  readonly #log: TestLog;
  readonly #state: MemoryState;

  readonly #visits: Visits = { count: 0 };

  constructor(log: TestLog, state: MemoryState, clock: Clock) {
    super({ state, clock, propose: (data) => log.propose(data) });
    state.reset(new CountedTables(this.#visits));
    this.#log = log;
    this.#state = state;
  }

  /** Number of entries applied so far. */
  get entries(): number {
    return this.#log.entries;
  }

  /** Number of objects that readers were handed so far. */
  get visits(): number {
    return this.#visits.count;
  }

  /** Number of proposals that `pause` holds back. */
  get waiting(): number {
    return this.#log.waiting;
  }

  /** Holds proposals back until `resume`: transactions made meanwhile are all built on the same state. */
  pause(): void {
    this.#log.pause();
  }

  resume(): void {
    this.#log.resume();
  }

  /** The stored objects, as the log and the database have them. */
  stored(kind: Kind, id: string): object | undefined {
    return this.#state.tables.stored(kind, id);
  }

  /** Applies a change that no transaction of this version makes, as an older version left it in the log. */
  async inject(change: Change): Promise<void> {
    const data = this.#state.codec.encodeCommand({ timeMs: this.timeMs(), changes: [change] });
    const { result } = await this.#log.propose(data);
    const { accepted } = result as ApplyResult;
    if (!accepted) throw new Error(`the change was rejected: ${JSON.stringify(result)}`);
  }

  /** Stores an object as it is, whatever its shape. */
  async injectObject(kind: Kind, body: object): Promise<void> {
    await this.inject({ action: 'create', kind, body: body as Body });
  }

  /** Makes the next proposal fail with this error, unapplied. */
  failNext(error: Error): void {
    this.#log.failNext(error);
  }

  /** Tells watchers that everything may have changed, as after a snapshot from the leader. */
  reset(): void {
    const copy = new CountedTables(this.#visits);
    const { tables } = this.#state;
    for (const kind of KINDS) for (const object of tables.allStored(kind)) copy.put(kind, object);
    copy.setIndex(this.index);
    this.#state.reset(copy);
  }

  /** Everything applied from now on, in order. */
  record(): StoreChange[] {
    const changes: StoreChange[] = [];
    this.watch((change) => changes.push(change));
    return changes;
  }
}

class TestLog {
  entries = 0;
  waiting = 0;
  readonly #state: MemoryState;
  readonly #failures: Error[] = [];
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => {};

  constructor(state: MemoryState) {
    this.#state = state;
  }

  async propose(data: Uint8Array): Promise<{ index: number; result: unknown }> {
    const failure = this.#failures.shift();
    this.waiting += 1;
    await this.#gate;
    this.waiting -= 1;
    if (failure !== undefined) throw failure;
    const index = this.#state.view.index + 1;
    const { result } = this.#state.apply(index, data);
    this.entries += 1;
    return { index, result };
  }

  pause(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  resume(): void {
    this.#open();
  }

  failNext(error: Error): void {
    this.#failures.push(error);
  }
}

/**
 * A Store whose transactions are applied at once (in a microtask, through encode, decode and the same
 * checks as behind Raft). Its objects are frozen: changing one throws.
 */
export function createTestStore(options: TestStoreOptions = {}): TestStore {
  const [store] = createTestStores([options.clock ?? new VirtualClock(START_MS)], options);
  return store as TestStore;
}

/** The stores of several managers with clocks of their own, on one log and state. */
export function createTestStores(
  clocks: readonly Clock[],
  options: Pick<TestStoreOptions, 'logger'> = {},
): TestStore[] {
  const state = new MemoryState({
    logger: options.logger ?? silentLogger,
    codec: new Codec(),
    freeze: true,
  });
  const log = new TestLog(state);
  return clocks.map((clock) => new TestStore(log, state, clock));
}
