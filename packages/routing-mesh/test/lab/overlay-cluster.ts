import type {
  MeshEncryption,
  MeshMember,
  MeshPeer,
  MeshPort,
  MeshService,
  MeshState,
} from '@swarm/api';
import type { HostPort, OverlayNetwork, TaskAttachment } from '../../src/index.js';
import { type Host, MeshLab } from './lab.js';

export interface OverlayNode extends Host {
  readonly peer: MeshPeer;
}

/** A task that serves on port 80, with its place on each of its networks. */
export interface OverlayTask extends Host {
  readonly taskId: string;
  readonly node: OverlayNode;
  readonly serviceId: string;
  /** By network id; `ingress` for its address in the node's block. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  readonly attachment: TaskAttachment;
  serves: boolean;
  weight?: number;
}

export interface TaskWishes {
  /** 1 to 3. */
  readonly node: number;
  /** In this order; `ingress` among them. */
  readonly networks: readonly string[];
  /** Empty: a container of no service. */
  readonly service?: string;
  readonly hostPorts?: readonly HostPort[];
}

/** Who answered, and the address that it sees, as IPv4 if it is one. */
export interface Answered {
  readonly task: string;
  readonly address: string;
}

/** Where every task listens. */
export const TASK_PORT = 80;
/** An address that is reached by the nodes' default route. */
export const WORLD = '198.19.0.1';

/** Three nodes with a mesh each, a client that is also the way to the world, and overlay networks between tasks. */
export class OverlayCluster {
  readonly lab: MeshLab;
  readonly nodes: OverlayNode[] = [];
  client!: Host;
  readonly #networks = new Map<string, OverlayNetwork>();
  readonly #offers = new Map<string, MeshEncryption>();
  #generation = 0;
  #taskCount = 0;
  #tasks: OverlayTask[] = [];
  #services = new Map<string, MeshService>();
  #ports: MeshPort[] = [];
  /** Node ids of peers that are marked down. */
  readonly down = new Set<string>();

  readonly #checkIntervalMs: number;

  private constructor(lab: MeshLab, checkIntervalMs: number) {
    this.lab = lab;
    this.#checkIntervalMs = checkIntervalMs;
  }

  /** @param checkIntervalMs how often each mesh looks for what was removed */
  static async open(name: string, nodes = 3, checkIntervalMs = 200): Promise<OverlayCluster> {
    const cluster = new OverlayCluster(new MeshLab(name), checkIntervalMs);
    try {
      for (let index = 1; index <= nodes; index++) {
        const address = `198.18.0.${index}`;
        const host = await cluster.lab.host(`n${index}`, address);
        cluster.lab.sh(host.netns, 'sysctl -qw net.ipv4.conf.all.rp_filter=1');
        cluster.lab.sh(host.netns, 'ip route add default via 198.18.0.100');
        const place = { nodeId: `node${index}`, index, address, subnet: `10.240.${index}.0/24` };
        cluster.nodes.push({ ...host, peer: place });
      }
      cluster.client = await cluster.lab.host('client', '198.18.0.100');
      cluster.lab.sh(cluster.client.netns, `ip addr add ${WORLD}/32 dev lo`);
      for (const node of cluster.nodes) await cluster.startMesh(node);
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  async startMesh({ agent, peer }: OverlayNode): Promise<void> {
    await agent.createMesh({
      ...{ backend: 'nftables', checkIntervalMs: this.#checkIntervalMs, encrypts: true },
    });
    await agent.start(peer);
    const offer = await agent.encryption();
    if (offer !== undefined) this.#offers.set(peer.nodeId, offer);
  }

  /** Another process for the node's daemon; the one before has ended. */
  async successor(node: OverlayNode): Promise<OverlayNode> {
    const next = { ...node, agent: await this.lab.agent(node.netns) };
    this.nodes[this.nodes.indexOf(node)] = next;
    return next;
  }

  network(networkId: string, ...subnets: string[]): OverlayNetwork {
    return this.defineNetwork({
      networkId,
      name: `${networkId}-name`,
      subnets,
      isInternal: false,
      isEncrypted: false,
    });
  }

  defineNetwork(network: OverlayNetwork): OverlayNetwork {
    this.#networks.set(network.networkId, network);
    return network;
  }

  /** A task that is attached and serves; other nodes know it with the next `apply`. */
  async task({ node: index, networks, service = '', hostPorts }: TaskWishes): Promise<OverlayTask> {
    const node = this.nodes[index - 1]!;
    const number = ++this.#taskCount;
    const host = await this.lab.task(`t${number}`);
    const taskId = `${String(number).padStart(12, 't')}rest`;
    const addresses = new Map(
      networks.map((id) => [
        id,
        id === 'ingress'
          ? [`10.240.${index}.${1 + number}`]
          : this.#networks.get(id)!.subnets.map((subnet) => addressIn(subnet, 10 + number)),
      ]),
    );
    const attachment: TaskAttachment = {
      taskId,
      netns: host.path,
      attachments: networks.map((networkId) => {
        const overlay = this.#networks.get(networkId);
        return {
          networkId,
          addresses: addresses
            .get(networkId)!
            .map((one) => `${one}/${one.includes(':') ? 128 : 32}`),
          ...(overlay === undefined ? {} : { overlay }),
        };
      }),
      ...(hostPorts === undefined ? {} : { hostPorts }),
    };
    const task = { ...host, taskId, node, serviceId: service, addresses, attachment, serves: true };
    this.#tasks.push(task);
    await node.agent.attach(attachment);
    await host.agent.serve({ name: taskId, port: TASK_PORT });
    return task;
  }

  /** Of a task on a network, the first. */
  addressOf(task: OverlayTask, networkId: string): string {
    return task.addresses.get(networkId)![0]!;
  }

  /** A service with a virtual address in each subnet of these networks: number 2, 3 and so on. */
  service(serviceId: string, number: number, ...networks: string[]): MeshService {
    const service = {
      serviceId,
      name: serviceId,
      networks: networks.map((networkId) => ({
        networkId,
        vips: this.#networks.get(networkId)!.subnets.map((subnet) => addressIn(subnet, number)),
        aliases: [],
      })),
    };
    this.#services.set(serviceId, service);
    return service;
  }

  /** Gives a service rules; undefined opens it. */
  allow(serviceId: string, allow: MeshService['allow']): void {
    const before = this.#services.get(serviceId) ?? { serviceId, name: serviceId, networks: [] };
    const { allow: _, ...open } = before;
    this.#services.set(serviceId, allow === undefined ? open : { ...open, allow });
  }

  publish(
    publishedPort: number,
    tasks: readonly OverlayTask[],
    protocol: 'tcp' | 'udp' = 'tcp',
    serviceId = 'published',
  ): void {
    this.#ports = [
      ...this.#ports,
      {
        protocol,
        publishedPort,
        serviceId,
        endpoints: tasks.map((task) => ({
          taskId: task.taskId,
          nodeId: task.node.peer.nodeId,
          address: this.addressOf(task, 'ingress'),
          port: TASK_PORT,
        })),
      },
    ];
  }

  /** One connection: who answers, and whom it sees. */
  async ask(from: Host, host: string, port = TASK_PORT, timeoutMs = 8000): Promise<Answered> {
    return plain(await from.agent.ask({ host, port, timeoutMs }));
  }

  async askUdp(from: Host, host: string, port = TASK_PORT, localPort?: number): Promise<Answered> {
    const to = { host, port, timeoutMs: 1000 };
    return plain(await from.agent.askUdp(localPort === undefined ? to : { ...to, localPort }));
  }

  /** The code with which a connection fails. */
  async failure(from: Host, host: string, port = TASK_PORT, timeoutMs = 800): Promise<string> {
    try {
      const { task } = await from.agent.ask({ host, port, timeoutMs });
      return `answered by ${task}`;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code ?? message;
    }
  }

  /** Ends the task; other nodes learn of it with the next `apply`. */
  async stop(task: OverlayTask): Promise<void> {
    this.#tasks = this.#tasks.filter((other) => other !== task);
    await task.agent.stop();
    await this.nodes[this.nodes.findIndex(({ peer }) => peer === task.node.peer)]!.agent.detach(
      task.taskId,
    );
  }

  async reset(): Promise<void> {
    this.#services.clear();
    this.#ports = [];
    this.down.clear();
    for (const task of [...this.#tasks]) await this.stop(task);
    await this.apply();
    this.#networks.clear();
  }

  state(): MeshState {
    return {
      generation: ++this.#generation,
      peers: this.nodes.map(({ peer }) => {
        const encryption = this.#offers.get(peer.nodeId);
        return {
          ...peer,
          ...(this.down.has(peer.nodeId) && { down: true }),
          ...(encryption !== undefined && { encryption }),
        };
      }),
      ports: this.#ports,
      services: [...this.#services.values()],
      members: this.#tasks.map(memberOf),
    };
  }

  async apply(nodes = this.nodes): Promise<void> {
    const state = this.state();
    await Promise.all(nodes.map(({ agent }) => agent.apply(state)));
  }

  async close(): Promise<void> {
    await this.lab.close();
  }
}

function memberOf({ taskId, node, serviceId, addresses, ...more }: OverlayTask): MeshMember {
  return {
    taskId,
    nodeId: node.peer.nodeId,
    serviceId,
    names: [],
    networks: [...addresses]
      .filter(([networkId]) => networkId !== 'ingress')
      .map(([networkId, own]) => ({ networkId, addresses: own })),
    serves: more.serves,
    ...(more.weight !== undefined && { weight: more.weight }),
  };
}

function addressIn(subnet: string, number: number): string {
  const [base] = subnet.split('/');
  return base!.includes(':')
    ? `${base}${number.toString(16)}`
    : base!.replace(/\d+$/, (last) => `${Number(last) + number}`);
}

function plain({ task, address }: Answered): Answered {
  return { task, address: address.replace('::ffff:', '') };
}
