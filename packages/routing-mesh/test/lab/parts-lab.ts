import type { MeshPeer, MeshPort, PortProtocol } from '@swarm/api';
import type { HostPort, MeshBackendName, TaskAttachment, TaskSockets } from '../../src/index.js';
import { type Host, MeshLab } from './lab.js';

/** A task that serves, of the node itself (1) or of another one (2). */
export interface PartsTask extends Host {
  readonly taskId: string;
  readonly node: 1 | 2;
  readonly address: string;
  readonly port: number;
}

/** One node with the parts of a mesh, a client, and tasks: what contracts of single parts need. */
export class PartsLab {
  readonly lab: MeshLab;
  readonly backend: MeshBackendName;
  readonly peers: readonly MeshPeer[];
  node!: Host;
  client!: Host;
  #tasks: PartsTask[] = [];
  #taskCount = 0;

  private constructor(lab: MeshLab, backend: MeshBackendName) {
    this.lab = lab;
    this.backend = backend;
    this.peers = [1, 2].map((index) => ({
      nodeId: `node${index}`,
      index,
      address: backend !== 'userspace' ? `198.18.0.${index}` : `127.0.2.${index}`,
      subnet: `10.240.${index}.0/24`,
      ...(backend === 'userspace' ? { userspace: true } : {}),
    }));
  }

  /** The node is a namespace of its own. */
  static async kernel(name: string, backend: 'nftables' | 'ipvs'): Promise<PartsLab> {
    const made = new PartsLab(new MeshLab(name), backend);
    return made.#start(async () => {
      made.node = await made.lab.host('node', made.address);
      made.client = await made.lab.host('client', '198.18.0.100');
      // The tunnel's part does that in a whole mesh.
      made.lab.sh(made.node.netns, 'sysctl -qw net.ipv4.ip_forward=1');
    });
  }

  /** Everything is on loopback addresses. */
  static async userspace(name: string): Promise<PartsLab> {
    const made = new PartsLab(new MeshLab(name), 'userspace');
    return made.#start(async () => {
      const shared = made.lab.loopback();
      made.node = { ...shared, agent: await made.lab.agent(shared.netns) };
      made.client = { ...shared, agent: await made.lab.agent(shared.netns) };
    });
  }

  /** Where clients reach the node. */
  get address(): string {
    return this.peers[0]!.address;
  }

  async #start(prepare: () => Promise<void>): Promise<this> {
    try {
      await prepare();
      await this.startParts();
    } catch (error) {
      await this.close();
      throw error;
    }
    return this;
  }

  /** Also for a successor of the node's process. */
  async startParts(): Promise<void> {
    const { agent } = this.node;
    await agent.createParts({ backend: this.backend, bindAddresses: [this.address] });
    await agent.startParts(this.peers[0]!);
  }

  /** Where a task of the node would be: an id, a namespace and an address, and nothing running. */
  place(): { taskId: string; netns: string; address: string } {
    const number = ++this.#taskCount;
    const taskId = `${String(number).padStart(10, 'p')}rest`;
    return this.backend !== 'userspace'
      ? {
          taskId,
          netns: this.lab.emptyNamespace(`p${number}`),
          address: `10.240.1.${100 + number}`,
        }
      : { taskId, netns: '', address: this.address };
  }

  /** A task that is linked and serves. Linked by hand when it is of the other node. */
  async task(node: 1 | 2): Promise<PartsTask> {
    const number = ++this.#taskCount;
    const taskId = `${String(number).padStart(12, 't')}rest`;
    const own = this.backend !== 'userspace';
    const host = own
      ? await this.lab.task(`t${number}`)
      : { ...this.node, agent: await this.lab.agent(this.node.netns) };
    const address = own ? `10.240.${node}.${1 + number}` : this.peers[node - 1]!.address;
    const task = { ...host, taskId, node, address, port: own ? 80 : 20_100 + number };
    this.#tasks.push(task);
    if (node === 1) await this.node.agent.link(this.attachment(task));
    else if (own) this.#linkFar(task, number);
    await host.agent.serve({ name: taskId, port: task.port, ...(own ? {} : { host: address }) });
    return task;
  }

  /** As if a tunnel led there. */
  #linkFar({ netns, address }: PartsTask, number: number): void {
    const device = `far${number}`;
    this.lab.sh(
      this.node.netns,
      `ip link add ${device} type veth peer name eth0 netns ${netns}; ip link set ${device} up; ip route add ${address}/32 dev ${device}`,
    );
    this.lab.sh(
      netns,
      `ip link set lo up; ip addr add ${address}/32 dev eth0; ip link set eth0 up; ip route add ${this.address} dev eth0; ip route add default via ${this.address} src ${address}`,
    );
  }

  attachment(
    task: Pick<PartsTask, 'taskId' | 'address' | 'path'>,
    hostPorts: readonly HostPort[] = [],
  ): TaskAttachment {
    return {
      taskId: task.taskId,
      netns: task.path,
      attachments: [{ networkId: 'ingressnetwork', addresses: [`${task.address}/32`] }],
      hostPorts,
    };
  }

  async sockets({ agent, taskId, address, port }: PartsTask): Promise<TaskSockets> {
    return {
      taskId,
      addresses: [address],
      pid: await agent.pid(),
      ports: [{ protocol: 'tcp', port }],
    };
  }

  port(
    publishedPort: number,
    tasks: readonly PartsTask[],
    protocol: PortProtocol = 'tcp',
  ): MeshPort {
    return {
      protocol,
      publishedPort,
      serviceId: 'service',
      endpoints: tasks.map(({ taskId, node, address, port }) => ({
        taskId,
        nodeId: `node${node}`,
        address,
        port,
      })),
    };
  }

  async balance(ports: readonly MeshPort[], peers = this.peers): Promise<void> {
    await this.node.agent.balance({ peers, ports });
  }

  /** Nothing published, no tasks. */
  async reset(): Promise<void> {
    await this.balance([]);
    for (const task of this.#tasks.splice(0)) {
      await this.node.agent.closeHostPorts([task.taskId]);
      await this.node.agent.unlink(task.taskId);
      await task.agent.stop();
    }
  }

  async close(): Promise<void> {
    await this.lab.close();
  }
}
