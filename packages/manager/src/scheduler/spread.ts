import type { Node, Placement } from '@swarm/api';
import { preferenceLabels } from './constraint.js';
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

/** What a task replaces. */
export interface Former {
  /** Where it is or was. */
  readonly node: NodeInfo | undefined;
  /** Whether it is still wanted there: if not, something may be wrong with the node. */
  readonly isActive: boolean;
}

interface Branch {
  /** Number of the service's tasks on the branch's nodes. */
  tasks: number;
  /** One branch per value of the preference's label; empty in a leaf, which has `nodes`. */
  readonly children: readonly Branch[];
  readonly nodes: Heap<NodeInfo> | undefined;
  readonly parent: Branch | undefined;
}

/**
 * Chooses nodes for tasks of one service, one after the other. Preferences make a tree (values of the
 * first label, below each the values of the second, …): at each level the next task goes to the branch
 * that has room and the fewest tasks of the service. Nodes without the label form a branch too.
 * Within a leaf, nodes rank by fewer recent failures, then those come that reach most other nodes, then by
 * fewer tasks of the service, then fewer tasks in all, then fewer nodes that they do not reach, then the lower
 * id, which makes the choice repeatable. Tasks that are about to be replaced do not count.
 *
 * Where several branches are as good, a task stays in that of the one it replaces, and on its node if that one
 * is still active. Otherwise a task could leave a branch that has its share, and the nodes in it become uneven.
 */
export class Spread {
  readonly #options: SpreadOptions;
  readonly #root: Branch;
  /** The leaf that each candidate is in. */
  readonly #leaves = new Map<NodeInfo, Branch>();
  readonly #failed = new Map<NodeInfo, number>();

  constructor(options: SpreadOptions) {
    this.#options = options;
    const labels = preferenceLabels(options.preferences);
    this.#root = this.#grow([...options.candidates], labels, undefined);
  }

  /**
   * Passes the best node to `place`, which adds the task to it.
   * @returns false when no node has room
   */
  next(place: (info: NodeInfo) => void, { node, isActive }: Former): boolean {
    const own = new Set<Branch>();
    let branch = node === undefined ? undefined : this.#leaves.get(node);
    for (; branch !== undefined; branch = branch.parent) own.add(branch);
    return this.#descend(this.#root, place, own, isActive ? node : undefined);
  }

  /** Takes note that the number of the service's tasks that count on a node changed. */
  changed(info: NodeInfo, by: number): void {
    const leaf = this.#leaves.get(info);
    for (let branch = leaf; branch !== undefined; branch = branch.parent) branch.tasks += by;
    leaf?.nodes?.resettle(info);
  }

  #grow(
    nodes: readonly NodeInfo[],
    labels: readonly ((node: Node) => string)[],
    parent: Branch | undefined,
  ): Branch {
    const { serviceId, failures } = this.#options;
    const tasks = nodes.reduce((sum, info) => sum + info.lastingOf(serviceId), 0);
    const [label, ...rest] = labels;
    if (label === undefined) {
      for (const info of nodes) this.#failed.set(info, failures(info));
      // Only `place` and `changed` change the counts, and the node is resettled.
      const isBefore = (a: NodeInfo, b: NodeInfo) =>
        (this.#compare(a, b) || (a.node.ID < b.node.ID ? -1 : 1)) < 0;
      const leaf = { tasks, children: [], nodes: new Heap(isBefore, nodes), parent };
      for (const info of nodes) this.#leaves.set(info, leaf);
      return leaf;
    }
    const groups = new Map<string, NodeInfo[]>();
    for (const info of nodes) {
      const value = label(info.node);
      const group = groups.get(value);
      if (group === undefined) groups.set(value, [info]);
      else group.push(info);
    }
    const values = [...groups.keys()].sort();
    const children: Branch[] = [];
    const branch = { tasks, children, nodes: undefined, parent };
    for (const value of values)
      children.push(this.#grow(groups.get(value) as NodeInfo[], rest, branch));
    return branch;
  }

  /** Negative when a task is better placed on `a`, 0 when both are as good. */
  #compare(a: NodeInfo, b: NodeInfo): number {
    const { serviceId } = this.#options;
    return (
      (this.#failed.get(a) ?? 0) - (this.#failed.get(b) ?? 0) ||
      Number(a.isCutOff) - Number(b.isCutOff) ||
      a.lastingOf(serviceId) - b.lastingOf(serviceId) ||
      a.lasting - b.lasting ||
      a.blockedPaths - b.blockedPaths
    );
  }

  #descend(
    branch: Branch,
    place: (info: NodeInfo) => void,
    own: ReadonlySet<Branch>,
    former: NodeInfo | undefined,
  ): boolean {
    if (branch.nodes !== undefined) {
      const kept = own.has(branch) ? former : undefined;
      return this.#placeOn(branch, branch.nodes, place, kept);
    }
    // The sort is stable: among equals the lower value comes first. `some` skips full branches.
    const children = [...branch.children].sort(
      (a, b) => a.tasks - b.tasks || Number(own.has(b)) - Number(own.has(a)),
    );
    const isPlaced = children.some((child) => this.#descend(child, place, own, former));
    if (isPlaced) branch.tasks += 1;
    return isPlaced;
  }

  #placeOn(
    branch: Branch,
    nodes: Heap<NodeInfo>,
    place: (info: NodeInfo) => void,
    former: NodeInfo | undefined,
  ): boolean {
    for (;;) {
      const best = nodes.peek();
      if (best === undefined) return false;
      if (!this.#options.fits(best)) {
        nodes.pop();
        continue;
      }
      const stays =
        former !== undefined &&
        nodes.has(former) &&
        this.#compare(best, former) === 0 &&
        this.#options.fits(former);
      const info = stays ? former : best;
      place(info);
      branch.tasks += 1;
      nodes.resettle(info);
      return true;
    }
  }
}
