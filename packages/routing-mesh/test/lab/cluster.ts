import type { MeshPeer, MeshPort, MeshState, PortProtocol } from '@swarm/api';
import type { HostPort, MeshBackendName, TaskSockets } from '../../src/index.js';
import { type Host, LAB_IPV6, MeshLab } from './lab.js';

export interface Node extends Host {
  readonly peer: MeshPeer;
}

export interface Task extends Host {
  readonly taskId: string;
  readonly node: Node;
  readonly address: string;
  /** What it listens on. */
  readonly port: number;
  /** It listens over IPv6 too, and the state says so. */
  readonly ipv6: boolean;
}

/** Id of the network that all tasks are attached to. */
const INGRESS = 'ingressnetwork';

/** Three nodes with a mesh each, a client, and tasks as a test asks for them. */
export class MeshCluster {
  readonly lab: MeshLab;
  readonly nodes: Node[] = [];
  client!: Host;
  readonly #backend: MeshBackendName;
  #generation = 0;
  #taskCount = 0;
  #tasks: Task[] = [];
  #ports: MeshPort[] = [];

  private constructor(lab: MeshLab, backend: MeshBackendName) {
    this.lab = lab;
    this.#backend = backend;
  }

  /** Hosts are namespaces, joined by a bridge. */
  static nftables(name: string): Promise<MeshCluster> {
    return MeshCluster.#hosts(name, 'nftables');
  }

  /** The same; the kernel must have IPVS. */
  static ipvs(name: string): Promise<MeshCluster> {
    return MeshCluster.#hosts(name, 'ipvs');
  }

  static async #hosts(name: string, backend: MeshBackendName): Promise<MeshCluster> {
    const cluster = new MeshCluster(new MeshLab(name), backend);
    return cluster.#start(async () => {
      for (const index of [1, 2, 3]) {
        const address = `198.18.0.${index}`;
        const host = await cluster.lab.host(`n${index}`, address);
        // As many distributions have it: the mesh must cope with it, and keep it elsewhere.
        cluster.lab.sh(host.netns, 'sysctl -qw net.ipv4.conf.all.rp_filter=1');
        cluster.#addNode(host, index, address);
      }
      cluster.client = await cluster.lab.host('client', '198.18.0.100');
    });
  }

  /** Hosts are loopback addresses, within one namespace where root allows. */
  static async userspace(name: string): Promise<MeshCluster> {
    const cluster = new MeshCluster(new MeshLab(name), 'userspace');
    return cluster.#start(async () => {
      const shared = cluster.lab.loopback();
      for (const index of [1, 2, 3]) {
        const host = { ...shared, agent: await cluster.lab.agent(shared.netns) };
        cluster.#addNode(host, index, `127.0.1.${index}`);
      }
      cluster.client = { ...shared, agent: await cluster.lab.agent(shared.netns) };
    });
  }

  #addNode(host: Host, index: number, address: string): void {
    const place = { nodeId: `node${index}`, index, address, subnet: `10.240.${index}.0/24` };
    const ipv6Addresses = [`${LAB_IPV6}${index}`];
    const peer =
      this.#backend === 'userspace' ? { ...place, userspace: true } : { ...place, ipv6Addresses };
    this.nodes.push({ ...host, peer });
  }

  async #start(prepare: () => Promise<void>): Promise<this> {
    try {
      await prepare();
      for (const node of this.nodes) await this.startMesh(node);
    } catch (error) {
      await this.close();
      throw error;
    }
    return this;
  }

  async startMesh({ agent, peer }: Node): Promise<void> {
    await agent.createMesh({
      backend: this.#backend,
      checkIntervalMs: 200,
      bindAddresses: [peer.address],
    });
    await agent.start(peer);
  }

  /** A running task: attached, and serving. */
  async task(
    nodeIndex: number,
    hostPorts?: (port: number) => readonly HostPort[],
    options: { readonly ipv6?: boolean } = {},
  ): Promise<Task> {
    const node = this.nodes[nodeIndex - 1]!;
    const number = ++this.#taskCount;
    const own = this.#backend !== 'userspace';
    const host = own
      ? await this.lab.task(`t${number}`)
      : { ...node, agent: await this.lab.agent(node.netns) };
    const taskId = `${String(number).padStart(12, 't')}rest`;
    const address = own ? `10.240.${nodeIndex}.${1 + number}` : node.peer.address;
    const port = own ? 80 : 20_000 + number;
    const ipv6 = own && options.ipv6 !== false;
    const task = { ...host, taskId, node, address, port, ipv6 };
    this.#tasks.push(task);
    await node.agent.attach({
      taskId,
      attachments: [{ networkId: INGRESS, addresses: [`${address}/32`] }],
      netns: host.path,
      ...(hostPorts === undefined ? {} : { hostPorts: hostPorts(port) }),
    });
    await host.agent.serve({
      name: taskId,
      port,
      ...(own ? (ipv6 ? {} : { host: '0.0.0.0' }) : { host: address }),
    });
    return task;
  }

  /** Where to look for the task's sockets. */
  async sockets(task: Task): Promise<TaskSockets> {
    const { taskId, address, port } = task;
    return {
      taskId,
      addresses: [address],
      pid: await task.agent.pid(),
      ports: [{ protocol: 'tcp', port }],
    };
  }

  async stop(task: Task): Promise<void> {
    this.#tasks = this.#tasks.filter((other) => other !== task);
    await task.agent.stop();
    await task.node.agent.detach(task.taskId);
  }

  /** Sets who is behind a port, on all nodes. */
  async publish(
    publishedPort: number,
    tasks: readonly (Task & { readonly weight?: number })[],
    protocol: PortProtocol = 'tcp',
    options: Partial<MeshPort> = {},
    change?: (state: MeshState) => MeshState,
  ): Promise<void> {
    this.#ports = [
      ...this.#ports.filter(
        (port) => port.publishedPort !== publishedPort || port.protocol !== protocol,
      ),
      {
        protocol,
        publishedPort,
        serviceId: `service${publishedPort}`,
        ...options,
        endpoints: tasks.map((task) => ({
          taskId: task.taskId,
          nodeId: task.node.peer.nodeId,
          address: task.address,
          port: task.port,
          ...(task.ipv6 ? { ipv6: true } : {}),
          ...(task.weight === undefined ? {} : { weight: task.weight }),
        })),
      },
    ];
    await this.apply(change);
  }

  /** Publishes nothing any more. */
  async unpublish(): Promise<void> {
    this.#ports = [];
    await this.apply();
  }

  /** Nothing published, no tasks. */
  async reset(): Promise<void> {
    await this.unpublish();
    for (const task of this.#tasks) await this.stop(task);
  }

  state(): MeshState {
    return {
      generation: ++this.#generation,
      peers: this.nodes.map(({ peer }) => peer),
      ports: this.#ports,
    };
  }

  /** Gives all nodes the state, or one made from it. */
  async apply(change: (state: MeshState) => MeshState = (state) => state): Promise<void> {
    const state = change(this.state());
    await Promise.all(this.nodes.map(({ agent }) => agent.apply(state)));
  }

  async close(): Promise<void> {
    await this.lab.close();
  }
}
