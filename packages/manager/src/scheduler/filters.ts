import { isFixed, isIngress } from '../allocator/publish-conflict.js';
import type { AddressBook } from '../allocator/address-book.js';
import { wantedNetworks } from '../allocator/attachments.js';
import { enforcesRules } from '../allocator/enforces-rules.js';
import { blockCheck } from '../allocator/ingress-nodes.js';
import { isNodeBound } from '../allocator/network-pools.js';
import type { StoreEvent, View } from '../store/store.js';
import {
  capabilityWords,
  isEncrypted,
  neededCapabilities,
  publishedKey,
  RUNTIME_CAPABILITIES,
  type RuntimeCapability,
  runtimeCapabilities,
  type Service,
  type Task,
} from '@swarm/api';
import { matchesConstraints, storedConstraints } from './constraint.js';
import type { NodeInfo } from './node-info.js';
import { platformFits } from './platform.js';

type Check = (info: NodeInfo) => boolean;

/** A check of whether a node can take a task, and the reason to give when it cannot. */
export interface Filter {
  /** Prepares the check for a task; undefined when the filter does not apply to it. */
  readonly prepare: (task: Task) => Check | undefined;
  /** Why `nodes` of `all` nodes cannot take the task, in SwarmKit's words: people and clients match them. */
  readonly explain: (nodes: number, all: number) => string;
}

/** `3 nodes`, `1 node`. */
function some(nodes: number): string {
  return nodes === 1 ? '1 node' : `${nodes} nodes`;
}

const ready: Filter = {
  prepare:
    () =>
    ({ node }) =>
      node.Status.State === 'ready' && node.Spec.Availability === 'active',
  explain: (nodes) => `${some(nodes)} not available for new tasks`,
};

const resources: Filter = {
  prepare(task) {
    const { NanoCPUs = 0, MemoryBytes = 0 } = task.Spec.Resources?.Reservations ?? {};
    if (NanoCPUs === 0 && MemoryBytes === 0) return undefined;
    // A task that reserves nothing fits everywhere, even on an overcommitted node.
    return (info) =>
      (NanoCPUs === 0 || NanoCPUs <= info.freeNanoCpus) &&
      (MemoryBytes === 0 || MemoryBytes <= info.freeMemoryBytes);
  },
  explain: (nodes) => `insufficient resources on ${some(nodes)}`,
};

const plugins: Filter = {
  prepare(task) {
    const container = task.Spec.ContainerSpec;
    const volumes = (container?.Mounts ?? [])
      .filter(({ Type }) => Type === 'volume')
      .map(({ VolumeOptions }) => VolumeOptions?.DriverConfig?.Name ?? '')
      .filter((driver) => driver !== '' && driver !== 'local');
    const log = task.Spec.LogDriver?.Name ?? '';
    return ({ node }) => {
      const found = node.Description?.Engine.Plugins ?? [];
      const has = (type: string, name: string) =>
        found.some((plugin) => plugin.Type === type && plugin.Name === name);
      if (!volumes.every((driver) => has('Volume', driver))) return false;
      if (log === '' || log === 'none') return true;
      // A node that lists no log driver at all does not report them.
      return has('Log', log) || !found.some(({ Type }) => Type === 'Log');
    };
  },
  explain: (nodes) => `missing plugin on ${some(nodes)}`,
};

/** Ours: the node's runtime must declare the capability if the task needs it. */
function capability(word: RuntimeCapability): Filter {
  const { what, remedy } = capabilityWords(word);
  return {
    prepare: (task) =>
      neededCapabilities(task.Spec).has(word)
        ? ({ node }) => runtimeCapabilities(node.Description).includes(word)
        : undefined,
    explain: (nodes, all) =>
      `${nodes === all ? 'no node can' : `${some(nodes)} cannot`} ${what}: ${remedy}`,
  };
}

/** Ours: tasks of encrypted networks go nowhere else, so that nothing of theirs is ever sent in clear text. */
function encryption(view: View): Filter {
  const word = 'network-encrypted';
  return {
    ...capability(word),
    prepare(task) {
      const wanted = wantedNetworks(view, task);
      if ('missing' in wanted || !wanted.networks.some(({ Spec }) => isEncrypted(Spec)))
        return undefined;
      return ({ node }) => runtimeCapabilities(node.Description).includes(word);
    },
  };
}

/** Whether filters may find otherwise after the event, besides by what a node has and holds. */
export function isReadByFilters(event: StoreEvent): boolean {
  if (event.kind === 'network') return true;
  return (
    event.kind === 'service' &&
    event.action === 'update' &&
    hasRules(event.object) !== hasRules(event.previous)
  );
}

function hasRules(service: Service | undefined): boolean {
  return service?.Spec.EndpointSpec?.Allow !== undefined;
}

/**
 * Ours: tasks of a service that says who may connect to it go only where that is enforced: a kernel mesh of a
 * version that knows rules, which declares overlay networks.
 */
function guarded(view: View): Filter {
  return {
    prepare: (task) =>
      hasRules(view.get('service', task.ServiceID)) ? ({ node }) => enforcesRules(node) : undefined,
    explain: (nodes, all) =>
      `${nodes === all ? 'no node can' : `${some(nodes)} cannot`} enforce who may connect to it (Allow): ` +
      'start a daemon as root on a host with nftables, or remove the rules',
  };
}

const constraints: Filter = {
  prepare(task) {
    const expressions = task.Spec.Placement?.Constraints ?? [];
    if (expressions.length === 0) return undefined;
    const parsed = storedConstraints(expressions);
    return ({ node }) => matchesConstraints(parsed, node);
  },
  explain: (nodes) => `scheduling constraints not satisfied on ${some(nodes)}`,
};

const platform: Filter = {
  prepare(task) {
    const platforms = task.Spec.Placement?.Platforms;
    if (platforms === undefined || platforms.length === 0) return undefined;
    return ({ node }) => platformFits(platforms, node.Description?.Platform);
  },
  explain: (nodes) => `unsupported platform on ${some(nodes)}`,
};

const hostPorts: Filter = {
  prepare(task) {
    const keys = task.Endpoint.Ports.filter((port) => !isIngress(port) && isFixed(port)).map(
      publishedKey,
    );
    if (keys.length === 0) return undefined;
    return (info) => !keys.some((key) => info.hasHostPort(key));
  },
  explain: (nodes) => `host-mode port already in use on ${some(nodes)}`,
};

const maxReplicas: Filter = {
  prepare(task) {
    const limit = task.Spec.Placement?.MaxReplicas ?? 0;
    if (limit === 0) return undefined;
    return (info) => info.activeOf(task.ServiceID) < limit;
  },
  explain: () => 'max replicas per node limit exceed',
};

/** How the reason begins when a node has no address left in the ingress network. */
export const NO_FREE_ADDRESS = 'no free ingress address';

/** Ours: each network of the task must have a free address for it on the node. */
function addressesLeft(view: View, addresses: AddressBook): Filter {
  return {
    prepare(task) {
      const wanted = wantedNetworks(view, task);
      if ('missing' in wanted) return undefined;
      const open = wanted.networks.filter(
        ({ ID }) => !(task.NetworksAttachments ?? []).some(({ Network }) => Network.ID === ID),
      );
      if (open.length === 0) return undefined;
      return ({ node }) => open.every(({ ID }) => addresses.hasRoom(ID, node));
    },
    explain: (nodes) => `no free ingress address on ${some(nodes)}`,
  };
}

/**
 * Ours: a task that is only on networks of services needs no address of its node's block, but a node without one has no
 * mesh that could attach it. With one on the ingress network, `addressesLeft` finds the same.
 */
function inMesh(view: View): Filter {
  return {
    prepare(task) {
      const wanted = wantedNetworks(view, task);
      if ('missing' in wanted || wanted.networks.length === 0) return undefined;
      if (wanted.networks.some(isNodeBound)) return undefined;
      const hasBlock = blockCheck(view);
      return ({ node }) => hasBlock(node);
    },
    explain: (nodes) =>
      `no block of the ingress network for ${some(nodes)}: upgrade nodes of earlier versions, or make that network ` +
      'again with a larger subnet',
  };
}

/** The filters that need only the node with its tasks, in SwarmKit's order (manager/scheduler/pipeline.go). */
export const NODE_FILTERS: readonly Filter[] = [
  ready,
  resources,
  ...RUNTIME_CAPABILITIES.map(capability),
  plugins,
  constraints,
  platform,
  hostPorts,
  maxReplicas,
];

/** All filters, ours last. */
export function allFilters(view: View, addresses: AddressBook): readonly Filter[] {
  const ours = [encryption(view), guarded(view), inMesh(view), addressesLeft(view, addresses)];
  return [...NODE_FILTERS, ...ours];
}

/** Filters prepared for one task, or for all tasks of one service and spec version. */
export class Pipeline {
  readonly #checks: { readonly filter: Filter; readonly check: Check }[] = [];

  constructor(filters: readonly Filter[], task: Task) {
    for (const filter of filters) {
      const check = filter.prepare(task);
      if (check !== undefined) this.#checks.push({ filter, check });
    }
  }

  fits(info: NodeInfo): boolean {
    return this.#checks.every(({ check }) => check(info));
  }

  /**
   * Why these nodes cannot take the task, the most frequent reason first. A node counts for the first
   * filter it fails. Empty when there are no nodes.
   * @param all number of nodes in the cluster
   */
  explain(infos: Iterable<NodeInfo>, all: number): string {
    const failures = new Map<Filter, number>();
    for (const info of infos) {
      const failed = this.#checks.find(({ check }) => !check(info))?.filter;
      if (failed !== undefined) failures.set(failed, (failures.get(failed) ?? 0) + 1);
    }
    return [...failures]
      .sort(([, a], [, b]) => b - a)
      .map(([filter, nodes]) => filter.explain(nodes, all))
      .join('; ');
  }
}
