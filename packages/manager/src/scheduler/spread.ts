import type { Node, Placement } from '@swarm/api';
import { labelOf } from './constraint.js';
import { Heap } from './heap.js';
import type { NodeInfo } from './node-info.js';

export interface SpreadOptions {
  readonly serviceId: string;
  readonly preferences: Placement['Preferences'];
  /** Nodes that pass all filters. */
  readonly candidates: Iterable<NodeInfo>;
  /** Checked again before each placement: an earlier one may have filled the node. */
  readonly fits: (info: NodeInfo) => boolean;
  /** Number of recent failures of the service on the node; 0 below the limit. */
  readonly failures: (info: NodeInfo) => number;
}

interface Branch {
  /** Number of the service's tasks on the branch's nodes. */
  tasks: number;
  /** One branch per value of the preference's label; empty in a leaf, which has `nodes`. */
  readonly children: readonly Branch[];
  readonly nodes: Heap<NodeInfo> | undefined;
}

/**
 * Chooses nodes for tasks of one service, one after the other. Preferences make a tree (values of the
 * first label, below each the values of the second, …): at each level the next task goes to the branch
 * that has room and the fewest tasks of the service. Nodes without the label form a branch too.
 * Within a leaf, nodes rank by fewer recent failures, then fewer tasks of the service, then fewer tasks in
 * all, then the lower id, which makes the choice repeatable.
 */
export class Spread {
  readonly #options: SpreadOptions;
  readonly #root: Branch;

  constructor(options: SpreadOptions) {
    this.#options = options;
    const labels = (options.preferences ?? []).flatMap(
      ({ Spread }) => labelOf(Spread?.SpreadDescriptor ?? '') ?? [],
    );
    this.#root = this.#grow([...options.candidates], labels);
  }

  /**
   * Passes the best node to `place`, which adds the task to it.
   * @returns false when no node has room
   */
  next(place: (info: NodeInfo) => void): boolean {
    return this.#descend(this.#root, place);
  }

  #grow(nodes: readonly NodeInfo[], labels: readonly ((node: Node) => string)[]): Branch {
    const { serviceId, failures } = this.#options;
    const tasks = nodes.reduce((sum, info) => sum + info.activeOf(serviceId), 0);
    const [label, ...rest] = labels;
    if (label === undefined) {
      // Only a placement changes the counts, and it resettles the node.
      const failed = new Map(nodes.map((info) => [info, failures(info)]));
      const isBefore = (a: NodeInfo, b: NodeInfo) =>
        ((failed.get(a) ?? 0) - (failed.get(b) ?? 0) ||
          a.activeOf(serviceId) - b.activeOf(serviceId) ||
          a.active - b.active ||
          (a.node.ID < b.node.ID ? -1 : 1)) < 0;
      return { tasks, children: [], nodes: new Heap(isBefore, nodes) };
    }
    const groups = new Map<string, NodeInfo[]>();
    for (const info of nodes) {
      const value = label(info.node);
      const group = groups.get(value);
      if (group === undefined) groups.set(value, [info]);
      else group.push(info);
    }
    const values = [...groups.keys()].sort();
    const children = values.map((value) => this.#grow(groups.get(value) as NodeInfo[], rest));
    return { tasks, children, nodes: undefined };
  }

  #descend(branch: Branch, place: (info: NodeInfo) => void): boolean {
    if (branch.nodes !== undefined) return this.#placeOn(branch, branch.nodes, place);
    // The sort is stable: among equals the lower value comes first. `some` skips full branches.
    const children = [...branch.children].sort((a, b) => a.tasks - b.tasks);
    const isPlaced = children.some((child) => this.#descend(child, place));
    if (isPlaced) branch.tasks += 1;
    return isPlaced;
  }

  #placeOn(branch: Branch, nodes: Heap<NodeInfo>, place: (info: NodeInfo) => void): boolean {
    for (;;) {
      const info = nodes.peek();
      if (info === undefined) return false;
      if (this.#options.fits(info)) {
        place(info);
        branch.tasks += 1;
        nodes.resettle();
        return true;
      }
      nodes.pop();
    }
  }
}
