import {
  type Clock,
  isLoopback,
  type Logger,
  type MeshPeer,
  type MeshState,
  parseIpAddress,
  type PortProtocol,
} from '@swarm/api';
import { type Cidr, networkOf } from '../address.js';
import {
  type CheckedAttachment,
  type CheckedEndpoint,
  type CheckedState,
  readAttachment,
} from '../checked.js';
import { LatestQueue, SerialQueue } from '../latest.js';
import type { Mesh, TaskAttachment, TaskSockets } from '../mesh.js';
import { hasGone, portKey } from '../model.js';
import { countConnections, isListening } from '../sockets.js';
import { StateReader } from '../state-reader.js';
import type { Target } from './target.js';
import { TcpProxy } from './tcp-proxy.js';
import { UdpProxy } from './udp-proxy.js';

export interface UserspaceMeshOptions {
  readonly bindAddresses: readonly string[];
  readonly udpIdleMs: number;
  readonly ingressNetwork: Cidr;
  readonly logger: Logger;
  readonly clock: Clock;
  /** 0 to 1, as `Math.random`. */
  readonly random: () => number;
}

/**
 * The mesh without root: each published port is a proxy of this process. Endpoints are dialled at the
 * address and port the state names. The task sees this node as its client, not the real one, and
 * connections end with this process.
 */
export class UserspaceMesh implements Mesh {
  readonly backend = 'userspace';
  readonly #options: UserspaceMeshOptions;
  readonly #logger: Logger;
  readonly #states: LatestQueue<MeshState>;
  readonly #changes = new SerialQueue();
  readonly #proxies = new Map<string, TcpProxy | UdpProxy>();
  /** Proxies of removed ports whose connections still run; held to end them on close. */
  readonly #draining = new Set<TcpProxy | UdpProxy>();
  readonly #failed = new Set<string>();
  readonly #tasks = new Map<string, CheckedAttachment>();
  readonly #reader: StateReader;
  #state: CheckedState = { generation: 0, peers: new Map(), ports: [] };
  /** Whether the node is on a loopback address, as all nodes of its host then are. */
  #onLoopback = false;
  #started = false;

  constructor(options: UserspaceMeshOptions) {
    this.#options = options;
    this.#logger = options.logger;
    const { logger, ingressNetwork } = options;
    this.#reader = new StateReader({ ingress: networkOf(ingressNetwork), logger });
    this.#states = new LatestQueue((state) => this.#apply(state));
  }

  get generation(): number {
    return this.#state.generation;
  }

  async start(self: MeshPeer): Promise<void> {
    const address = parseIpAddress(self.address);
    this.#onLoopback = address !== undefined && isLoopback(address);
    if (!this.#started) {
      this.#logger.warn(
        {},
        'the routing mesh runs in user space: tasks do not see the addresses of clients',
      );
    }
    this.#started = true;
  }

  apply(state: MeshState): Promise<void> {
    return this.#states.push(state);
  }

  async attach(task: TaskAttachment): Promise<void> {
    const read = readAttachment(task);
    this.#tasks.set(read.taskId, read);
    if (read.hostPorts.length > 0) await this.#changes.run(() => this.#follow());
  }

  async detach(taskId: string): Promise<void> {
    const task = this.#tasks.get(taskId);
    this.#tasks.delete(taskId);
    if (task !== undefined && task.hostPorts.length > 0)
      await this.#changes.run(() => this.#follow());
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    for (const taskId of [...this.#tasks.keys()]) {
      if (!taskIds.has(taskId)) await this.detach(taskId);
    }
  }

  connections(task: TaskSockets): Promise<number> {
    return countConnections(task);
  }

  listens(task: TaskSockets): Promise<boolean> {
    return isListening(task);
  }

  /** `keep` can not be honoured: the proxies are this process. */
  async close(_options: { readonly keep: boolean }): Promise<void> {
    await this.#states.idle();
    await this.#changes.run(async () => {
      for (const proxy of [...this.#proxies.values(), ...this.#draining]) await proxy.close();
      this.#proxies.clear();
      this.#draining.clear();
    });
  }

  async #apply(state: MeshState): Promise<void> {
    await this.#changes.run(async () => {
      if (state.generation < this.#state.generation) return;
      const read = this.#reader.read(state, undefined, this.#onLoopback);
      const gone = [...this.#state.peers.values()].filter((peer) => hasGone(peer, read.peers));
      this.#state = read;
      await this.#follow();
      for (const { nodeId } of gone) {
        for (const proxy of [...this.#proxies.values(), ...this.#draining]) proxy.resetNode(nodeId);
      }
    });
  }

  /** Only within `#changes`: makes the proxies as the state and the tasks' host ports want them. */
  async #follow(): Promise<void> {
    for (const proxy of this.#draining) {
      if (proxy.connectionCount === 0) this.#draining.delete(proxy);
    }
    const wanted = this.#wanted();
    for (const [key, proxy] of this.#proxies) {
      if (wanted.has(key)) continue;
      this.#proxies.delete(key);
      this.#failed.delete(key);
      await proxy.drain();
      if (proxy.connectionCount > 0) this.#draining.add(proxy);
    }
    for (const [key, { protocol, port, targets }] of wanted) {
      const proxy = this.#proxies.get(key) ?? this.#create(protocol, port);
      if (proxy === undefined) continue;
      this.#proxies.set(key, proxy);
      try {
        await proxy.update(targets);
        this.#failed.delete(key);
      } catch (error) {
        if (!this.#failed.has(key)) {
          this.#logger.error(
            { err: error, port: key },
            `port ${key} can not be published on this node: stop the program that has it, publish another port, or use one above 1023 without root`,
          );
        }
        this.#failed.add(key);
      }
    }
  }

  #wanted(): Map<string, { protocol: PortProtocol; port: number; targets: readonly Target[] }> {
    const wanted = new Map<
      string,
      { protocol: PortProtocol; port: number; targets: readonly Target[] }
    >();
    for (const { protocol, publishedPort, endpoints } of this.#state.ports) {
      wanted.set(portKey(protocol, publishedPort), {
        protocol,
        port: publishedPort,
        targets: endpoints.map((endpoint) => this.#target(endpoint)),
      });
    }
    for (const { address, hostPorts } of this.#tasks.values()) {
      for (const { protocol, publishedPort, targetPort } of hostPorts) {
        wanted.set(portKey(protocol, publishedPort), {
          protocol,
          port: publishedPort,
          targets: [{ nodeId: '', address, port: targetPort }],
        });
      }
    }
    return wanted;
  }

  /** Where a task of this node listens its runtime knows best. */
  #target({ taskId, nodeId, address, port }: CheckedEndpoint): Target {
    return { nodeId, address: this.#tasks.get(taskId)?.address ?? address, port };
  }

  #create(protocol: PortProtocol, port: number): TcpProxy | UdpProxy | undefined {
    const { bindAddresses, clock, random, udpIdleMs } = this.#options;
    const common = { bindAddresses, port, clock, random };
    if (protocol === 'tcp') return new TcpProxy(common);
    if (protocol === 'udp') return new UdpProxy({ ...common, idleMs: udpIdleMs });
    const key = portKey(protocol, port);
    if (!this.#failed.has(key)) {
      this.#failed.add(key);
      this.#logger.error({ port: key }, 'SCTP is not served by the userspace mesh; use nftables');
    }
    return undefined;
  }
}
