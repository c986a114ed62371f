import { ApiError, PROGRAM, type Program, type Timer } from '@swarm/api';
import { type ControlLoop, type LoopContext, loopOfRuns } from '../control-loop.js';
import { levelOf } from '../store/feature-levels.js';
import { countsAsManager } from '../store/manager-nodes.js';
import type { StoreChange, StoreEvent } from '../store/store.js';
import { managerLevel } from './manager-levels.js';

/** Pause before the next try to raise the level. */
const RETRY_MS = 1_000;

export interface FeatureLevelOptions {
  /** Node ids of the Raft group. The level rises only when the store has each of these nodes as a manager. */
  readonly members: () => readonly string[];
  /** Default PROGRAM. */
  readonly program?: Program;
}

/**
 * Raises the cluster's feature level to the highest that every manager supports, including those that are
 * down: a manager that comes back with its old program must be able to read what was written meanwhile.
 * Never lowers it.
 */
export function createFeatureLevel(
  context: LoopContext,
  options: FeatureLevelOptions,
): ControlLoop {
  return loopOfRuns('feature-level', () => new FeatureLevelRun(context, options));
}

class FeatureLevelRun {
  readonly #context: LoopContext;
  readonly #options: FeatureLevelOptions;
  readonly #unwatch: () => void;
  /** The highest level of each manager. */
  readonly #managers = new Map<string, number>();
  #timer: Timer;
  #raising: Promise<void> | undefined;
  #stopped = false;

  constructor(context: LoopContext, options: FeatureLevelOptions) {
    this.#context = context;
    this.#options = options;
    this.#unwatch = context.store.watch((change) => this.#changed(change));
    this.#readAll();
    this.#look();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#context.clock.clearTimeout(this.#timer);
    await this.#raising;
  }

  #readAll(): void {
    this.#managers.clear();
    for (const node of this.#context.store.managers())
      this.#managers.set(node.ID, managerLevel(node).newest);
  }

  #changed({ reset, events }: StoreChange): void {
    if (reset) this.#readAll();
    let concerned = reset;
    for (const event of events) {
      if (event.kind === 'node') concerned = this.#nodeChanged(event) || concerned;
      else if (event.kind === 'cluster') concerned = true;
    }
    if (concerned) this.#look();
  }

  #nodeChanged({ action, object }: StoreEvent & { kind: 'node' }): boolean {
    const before = this.#managers.get(object.ID);
    const isManager = action !== 'remove' && countsAsManager(object);
    const after = isManager ? managerLevel(object).newest : undefined;
    if (before === after) return false;
    if (after === undefined) this.#managers.delete(object.ID);
    else this.#managers.set(object.ID, after);
    return true;
  }

  /** The level that every manager supports; undefined while the store lacks the node of a member. */
  #reachable(): number | undefined {
    const { members, program = PROGRAM } = this.#options;
    if (members().some((nodeId) => !this.#managers.has(nodeId))) return undefined;
    return Math.min(program.FeatureLevel.Newest, ...this.#managers.values());
  }

  #look(): void {
    const { store, clock } = this.#context;
    if (this.#stopped || this.#raising !== undefined) return;
    clock.clearTimeout(this.#timer);
    const cluster = store.cluster();
    const wanted = this.#reachable();
    if (cluster === undefined) return;
    if (wanted === undefined) {
      // The store may get a member's node an instant after the member, or cannot read it.
      this.#timer = clock.setTimeout(() => this.#look(), RETRY_MS);
      return;
    }
    if (wanted <= levelOf(cluster)) return;
    this.#raising = this.#raise(wanted).finally(() => {
      this.#raising = undefined;
      if (!this.#stopped) this.#timer = clock.setTimeout(() => this.#look(), RETRY_MS);
    });
  }

  async #raise(wanted: number): Promise<void> {
    const { store, logger } = this.#context;
    try {
      const from = await store.transact((transaction) => {
        const cluster = transaction.cluster();
        const level = levelOf(cluster);
        // The managers may have changed since.
        if (cluster === undefined || level >= wanted || this.#reachable() !== wanted)
          return undefined;
        transaction.update('cluster', { ...cluster, FeatureLevel: wanted });
        return level;
      });
      if (from === undefined) return;
      logger.info({ from, level: wanted }, 'every manager supports more: the feature level rises');
    } catch (error) {
      const changed = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
      if (!changed) logger.warn({ err: error }, 'the feature level could not be raised yet');
    }
  }
}
