import { isDeepStrictEqual } from 'node:util';
import type { Clock, Node, Timer } from '@swarm/api';
import type { View } from '../store/store.js';
import { type BatchWriter, WriterStopped } from './batch-writer.js';
import type { NodeBudgets } from './node-budgets.js';

export interface NodeWriterOptions {
  readonly view: View;
  readonly writer: BatchWriter;
  readonly clock: Clock;
  readonly budgets: NodeBudgets;
  /** The node with what is observed now. Called when the write happens, and again for each retry. */
  readonly observe: (node: Node) => Node;
}

/** One requested write; requests before it begins share it. */
interface Wanted {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The pending write of one node. */
interface Pending {
  wanted: Wanted | undefined;
  /** Whether the leader itself found something out, so that the node's budget does not apply. */
  urgent: boolean;
  /** Whether a write is under way, so that the next one waits. */
  writing: boolean;
  /** Fires when its budget allows. */
  timer: Timer | undefined;
}

/**
 * Writes what is observed of nodes, many nodes in one transaction, and only what changes. One write is under
 * way for each node; what is observed meanwhile becomes one more.
 */
export class NodeWriter {
  readonly #options: NodeWriterOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #ready = new Set<string>();
  #scheduled = false;
  #stopped = false;

  constructor(options: NodeWriterOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the store holds what is observed of the node now or later.
   * @param urgent whether the leader itself found it out, so that it does not wait for the node's budget
   * @throws WriterStopped, or the store's error for this node
   */
  update(nodeId: string, urgent = false): Promise<void> {
    if (this.#stopped) return Promise.reject(new WriterStopped('the writer was stopped'));
    let pending = this.#pending.get(nodeId);
    if (pending === undefined) {
      pending = { wanted: undefined, urgent: false, writing: false, timer: undefined };
      this.#pending.set(nodeId, pending);
    }
    pending.wanted ??= newWanted();
    pending.urgent ||= urgent;
    const { promise } = pending.wanted;
    this.#schedule(nodeId, pending);
    return promise;
  }

  /** Drops writes that wait for their budget; their callers get WriterStopped. */
  stop(): void {
    this.#stopped = true;
    for (const { timer, wanted } of this.#pending.values()) {
      this.#options.clock.clearTimeout(timer);
      wanted?.reject(new WriterStopped('the writer was stopped'));
    }
    this.#pending.clear();
    this.#ready.clear();
  }

  #schedule(nodeId: string, pending: Pending): void {
    if (this.#stopped || pending.writing) return;
    const { clock, budgets } = this.#options;
    const waitMs = pending.urgent ? 0 : budgets.of(nodeId).writes.waitMs();
    if (waitMs > 0) {
      pending.timer ??= clock.setTimeout(() => {
        pending.timer = undefined;
        this.#schedule(nodeId, pending);
      }, waitMs);
      return;
    }
    clock.clearTimeout(pending.timer);
    pending.timer = undefined;
    this.#ready.add(nodeId);
    if (this.#scheduled) return;
    this.#scheduled = true;
    clock.setImmediate(() => {
      this.#scheduled = false;
      if (!this.#stopped) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const { writer, budgets, observe } = this.#options;
    const writes: { nodeId: string; pending: Pending; wanted: Wanted }[] = [];
    for (const nodeId of this.#ready) {
      const pending = this.#pending.get(nodeId);
      const wanted = pending?.wanted;
      if (pending === undefined || wanted === undefined) continue;
      pending.wanted = undefined;
      pending.urgent = false;
      try {
        if (!this.#isNews(nodeId)) {
          this.#pending.delete(nodeId);
          wanted.resolve();
          continue;
        }
      } catch (error) {
        // A bad node object must not stop the others.
        this.#pending.delete(nodeId);
        wanted.reject(error);
        continue;
      }
      pending.writing = true;
      budgets.of(nodeId).writes.spend(1);
      writes.push({ nodeId, pending, wanted });
    }
    this.#ready.clear();
    const errors = await writer.settle(
      writes.map(({ nodeId }) => (transaction) => {
        const node = transaction.get('node', nodeId);
        if (node === undefined) return;
        const observed = observe(node);
        if (!isDeepStrictEqual(observed, node)) transaction.update('node', observed);
      }),
    );
    writes.forEach(({ nodeId, pending, wanted }, index) => {
      if (errors.has(index)) wanted.reject(errors.get(index));
      else wanted.resolve();
      pending.writing = false;
      if (pending.wanted !== undefined) this.#schedule(nodeId, pending);
      else if (this.#pending.get(nodeId) === pending) this.#pending.delete(nodeId);
    });
  }

  #isNews(nodeId: string): boolean {
    const { view, observe } = this.#options;
    const node = view.get('node', nodeId);
    return node !== undefined && !isDeepStrictEqual(observe(node), node);
  }
}

function newWanted(): Wanted {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  return { promise, resolve, reject };
}
