import type { MeshEndpoint, MeshPeer, MeshPort, MeshState, PortProtocol } from '@swarm/api';
import type { HostPort } from '../../src/index.js';
import { type Host, Lab } from './lab.js';

export interface Node extends Host {
  readonly peer: MeshPeer;
}

export interface Task extends Host {
  readonly taskId: string;
  readonly node: Node;
  readonly address: string;
}

/** Port the tasks listen on. */
export const TARGET_PORT = 80;

/** Three nodes with nftables meshes, a client, and tasks as a test asks for them. */
export class Cluster {
  readonly lab: Lab;
  readonly nodes: Node[] = [];
  client!: Host;
  #generation = 0;
  #taskCount = 0;
  #hosts = [0, 0, 0];
  #ports: MeshPort[] = [];

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  static async create(name: string): Promise<Cluster> {
    const cluster = new Cluster(new Lab(name));
    try {
      for (const index of [1, 2, 3]) {
        const address = `198.18.0.${index}`;
        const host = await cluster.lab.host(`n${index}`, address);
        const peer = { nodeId: `node${index}`, index, address, subnet: `10.240.${index}.0/24` };
        cluster.nodes.push({ ...host, peer });
      }
      cluster.client = await cluster.lab.host('client', '198.18.0.100');
      for (const node of cluster.nodes) {
        await node.agent.createMesh({ backend: 'nftables', checkIntervalMs: 200 });
        await node.agent.start(node.peer);
      }
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** A running task: attached, and serving on {@link TARGET_PORT}. */
  async task(nodeIndex: number, hostPorts?: readonly HostPort[]): Promise<Task> {
    const node = this.nodes[nodeIndex - 1]!;
    const number = ++this.#taskCount;
    const host = await this.lab.task(`t${number}`);
    const taskId = `${String(number).padStart(12, 't')}rest`;
    const address = `10.240.${nodeIndex}.${2 + this.#hosts[nodeIndex - 1]!++}`;
    await node.agent.attach({
      taskId,
      address,
      netns: host.path,
      ...(hostPorts === undefined ? {} : { hostPorts }),
    });
    await host.agent.serve({ name: taskId, port: TARGET_PORT });
    return { ...host, taskId, node, address };
  }

  /** Sets who is behind a port, on all nodes. */
  async publish(
    publishedPort: number,
    tasks: readonly Task[],
    protocol: PortProtocol = 'tcp',
  ): Promise<void> {
    const endpoints = tasks.map(endpointOf);
    this.#ports = [
      ...this.#ports.filter(
        (port) => port.publishedPort !== publishedPort || port.protocol !== protocol,
      ),
      { protocol, publishedPort, serviceId: `service${publishedPort}`, endpoints },
    ];
    await this.apply();
  }

  async unpublishAll(): Promise<void> {
    this.#ports = [];
    await this.apply();
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

export function endpointOf(task: Task): MeshEndpoint {
  return {
    taskId: task.taskId,
    nodeId: task.node.peer.nodeId,
    address: task.address,
    port: TARGET_PORT,
  };
}
