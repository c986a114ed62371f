import { isDeepStrictEqual } from 'node:util';
import type { Clock, Node } from '@swarm/api';
import type { BatchWriter } from './batch-writer.js';

/** Writes what is observed of nodes, many nodes in one transaction, only where something changes. */
export class NodeWriter {
  readonly #writer: BatchWriter;
  readonly #clock: Clock;
  readonly #observe: (node: Node) => Node;
  readonly #waiting = new Set<string>();
  #flush: Promise<void> | undefined;

  /**
   * @param observe the node as it is seen now. Asked when the write happens, and again when it is tried
   *   again, so writes that overtake each other do no harm.
   */
  constructor(writer: BatchWriter, clock: Clock, observe: (node: Node) => Node) {
    this.#writer = writer;
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Resolves when the store holds what is observed of the node. @throws as BatchWriter.write */
  update(nodeId: string): Promise<void> {
    this.#waiting.add(nodeId);
    this.#flush ??= new Promise<void>((resolve, reject) => {
      this.#clock.setImmediate(() => {
        const nodeIds = [...this.#waiting];
        this.#waiting.clear();
        this.#flush = undefined;
        this.#write(nodeIds).then(resolve, reject);
      });
    });
    return this.#flush;
  }

  #write(nodeIds: readonly string[]): Promise<void> {
    return this.#writer.write(
      nodeIds.map((id) => ({
        kind: 'node',
        id,
        make: (transaction) => {
          const node = transaction.get('node', id);
          if (node === undefined) return;
          const observed = this.#observe(node);
          if (!isDeepStrictEqual(observed, node)) transaction.update('node', observed);
        },
      })),
    );
  }
}
