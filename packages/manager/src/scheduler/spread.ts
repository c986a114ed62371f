import type { Node, Placement } from '@swarm/api';
import { labelOf } from './constraint.js';
import { Heap } from './heap.js';
import type { NodeInfo } from './node-info.js';

export interface SpreadOptions {
  readonly serviceId: string;
  readonly preferences: Placement['Preferences'];
  /** Nodes that passed all filters. */
  readonly candidates: Iterable<NodeInfo>;
  /** Asked again before each placement: earlier ones may have filled a node. */
  readonly fits: (info: NodeInfo) => boolean;
  /** Recent failures of the service on the node; 0 below the limit. */
  readonly failures: (info: NodeInfo) => number;
}

interface Branch {
  /** Tasks of the service on the branch's nodes. */
  tasks: number;
  /** One or the other: the preference's values, or nodes. */
  readonly children: readonly Branch[];
  readonly nodes: Heap<NodeInfo> | undefined;
}

/**
 * Chooses nodes for tasks of one service, one after the other. Preferences make a tree (values of the
 * first label, below each the values of the second, …): at each level the branch with the fewest tasks of
 * the service that still has room takes the next one. Nodes without the label are a branch too.
 * Within a branch comes first: the node with fewer recent failures, fewer tasks of the service, fewer
 * tasks in all, and, so that the choice can be repeated, the lower id.
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
   * Gives the best node to `place`, which adds the task to it.
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
      // Both can not change but by a placement, which resettles the node.
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
    // A stable sort: of equals the lower value comes first. A full branch is skipped.
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
