import type { PathProblemKind, PortKey } from '@swarm/api';
import type { BalancerSlice } from '../../src/balancer/load-balancer.js';
import type { HostPort } from '../../src/mesh.js';
import type { TaskId } from '../../src/layout.js';
import type { FoundLink } from '../../src/links/task-links.js';
import { noEncryption } from '../../src/encryption/traffic-encryption.js';
import type { MeshParts } from '../../src/mesh-parts.js';
import { noAccessGuard } from '../../src/guard/access-guard.js';
import { noOverlayNetworks } from '../../src/overlay/overlay-networks.js';
import type { FoundProblem } from '../../src/paths/path-state.js';
import type { Paths } from '../../src/paths/paths.js';
import { noServiceNames } from '../../src/names/service-names.js';

/** What is of single tasks. */
const MAY_OVERLAP = /^(?:links|names|balancer\.cut)/;

/** Parts that do nothing, and remember in which order they were told what. */
export class FakeParts {
  /** `tunnel.reach node1 node2`, `commit` and so on. */
  readonly calls: string[] = [];
  /** The most calls there were at a time, of those that must not overlap. */
  mostAtOnce = 0;
  #running = 0;
  readonly slices: BalancerSlice[] = [];
  /** Awaited, or thrown, by the call of this name. */
  readonly during = new Map<string, () => Promise<void>>();
  refused = new Set<string>();
  isRetryDue = false;
  isDamaged = false;
  /** Somebody flushed the table: the next transaction writes everything. */
  wasFlushed = false;
  /** What an earlier process left. */
  earlier: { links: FoundLink[]; hostPorts: Map<TaskId, readonly HostPort[]> } | undefined;

  /** Whether `take` says when tasks are not covered any more. */
  isUncoveringTold = false;

  /** Host ports that the balancer leads to tasks, as last told. */
  readonly hostPorts = new Map<string, number[]>();
  /** What programs of the host have. */
  readonly taken = new Map<PortKey, string>();
  /** What the balancer could not open. */
  readonly unserved = new Map<PortKey, string>();

  #problems = new Map<string, FoundProblem>();
  #pathListener = (): void => {};

  readonly parts: MeshParts = {
    backend: 'nftables',
    tunnel: {
      ipv6Addresses: [],
      mtuBytes: 1450,
      start: () => this.#call('tunnel.start'),
      reach: async (peers) => {
        await this.#call(`tunnel.reach ${[...peers.keys()].join(' ')}`);
        return this.refused;
      },
      prune: (peers) => this.#call(`tunnel.prune ${[...peers.keys()].join(' ')}`),
      isRetryDue: false,
      repair: async () => {
        await this.#call('tunnel.repair');
        return this.isDamaged;
      },
      close: () => this.#call('tunnel.close'),
    },
    paths: this.#paths(),
    encryption: {
      ...noEncryption('it is a test'),
      mtuBytes: 1440,
      cover: async (taskId, overlays) => {
        const names = overlays.flatMap(({ isEncrypted, name }) => (isEncrypted ? name : []));
        if (names.length > 0) await this.#call(`encryption.cover ${taskId} ${names.join(' ')}`);
      },
      uncover: async (ids) => {
        if (this.isUncoveringTold) await this.#call(`encryption.uncover ${ids.join(' ')}`);
      },
    },
    links: {
      start: () => {},
      attach: (task) => this.#call(`links.attach ${task.taskId} ${task.mtuBytes}`),
      isAttached: async () => false,
      detach: (taskId) => this.#call(`links.detach ${taskId}`),
      list: async () => this.earlier?.links ?? [],
      retain: (ids) => this.#call(`links.retain ${[...ids].join(' ')}`),
    },
    balancer: {
      start: () => this.#call('balancer.start'),
      adopt: async () => this.earlier?.hostPorts,
      apply: (slice) => {
        // Its ports follow the newest state.
        this.slices.push({ ...slice, ports: new Map(slice.ports) });
        return this.#call('balancer.apply');
      },
      settle: (options) =>
        this.#call(`balancer.settle${options?.isUnsure === true ? ' unsure' : ''}`),
      attach: (task) => {
        this.hostPorts.set(
          task.taskId,
          task.hostPorts.map(({ publishedPort }) => publishedPort),
        );
        return this.#call(`balancer.attach ${task.taskId} ${task.addresses.join(' ')}`);
      },
      detach: (ids) => this.#call(`balancer.detach ${ids.join(' ')}`),
      holds: () => false,
      servesIpv6: () => false,
      unserved: this.unserved,
      look: async () => [],
      retry: () => this.#call('balancer.retry'),
      cut: (addresses) => this.#call(`balancer.cut ${addresses.join(' ')}`),
      repair: async () => {
        await this.#call('balancer.repair');
        return false;
      },
      close: () => this.#call('balancer.close'),
    },
    overlay: {
      ...noOverlayNetworks,
      apply: ({ networks }) => this.#call(`overlay.apply ${networks.size}`),
      settle: () => this.#call('overlay.settle'),
      attach: (task) => this.#call(`overlay.attach ${task.taskId}`),
      detach: (ids) => this.#call(`overlay.detach ${ids.join(' ')}`),
    },
    guard: noAccessGuard,
    names: {
      ...noServiceNames,
      apply: ({ networks }) => this.#call(`names.apply ${networks.size}`),
      attach: (task) => this.#call(`names.attach ${task.taskId}`),
      detach: (ids) => this.#call(`names.detach ${ids.join(' ')}`),
    },
    programs: {
      find: async (ports) => new Map([...this.taken].filter(([port]) => ports.has(port))),
    },
    probe: { connections: async () => 3, listens: async () => true, listensIpv6: async () => true },
    transaction: {
      describe: async () => undefined,
      start: async () => {
        await this.#call('transaction.start');
        return this.earlier !== undefined;
      },
      commit: async () => {
        await this.#call('commit');
        return this.wasFlushed;
      },
      repair: async () => {
        await this.#call('transaction.repair');
        return this.wasFlushed;
      },
      close: ({ keep }) => this.#call(`transaction.close ${keep}`),
    },
  };

  constructor() {
    Object.defineProperty(this.parts.tunnel, 'isRetryDue', { get: () => this.isRetryDue });
  }

  /** What was called since this was asked last. */
  take(): string[] {
    return this.calls.splice(0);
  }

  async #call(what: string): Promise<void> {
    this.calls.push(what);
    const counts = MAY_OVERLAP.test(what) ? 0 : 1;
    this.#running += counts;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#running);
    try {
      await new Promise((resolve) => setImmediate(resolve));
      await this.during.get(what.split(' ', 1)[0]!)?.();
    } finally {
      this.#running -= counts;
    }
  }

  /** What is wrong with the path to a node from now on. */
  findProblem(nodeId: string, kind: PathProblemKind | undefined): void {
    this.#problems = new Map(this.#problems);
    if (kind === undefined) this.#problems.delete(nodeId);
    else this.#problems.set(nodeId, { kind, sinceMs: 0 });
    this.#pathListener();
  }

  #paths(): Paths {
    const problems = () => this.#problems;
    return {
      start: (_self, mtuBytes) => this.#call(`paths.start ${mtuBytes}`),
      follow: (peers) => void this.calls.push(`paths.follow ${[...peers.keys()].join(' ')}`),
      isAnswering: true,
      isCutOff: false,
      firewalls: [],
      get problems() {
        return problems();
      },
      watch: (listener) => {
        this.#pathListener = listener;
        return () => {};
      },
      close: () => {},
    };
  }
}
