import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseIpAddress, type IpAddress } from '@swarm/api';
import { parseNetworkId, parseTaskId } from '../../src/layout.js';
import { type AgentOf, MeshLab } from './lab.js';
import type { NamesOrders, PlainView } from './names-agent.js';

const AGENT = fileURLToPath(new URL('./names-agent.js', import.meta.url));

export type NamesAgent = AgentOf<NamesOrders>;

/** A task with a client of names inside. */
export interface NamesTask {
  readonly taskId: string;
  readonly netns: string;
  readonly path: string;
  readonly agent: NamesAgent;
}

export interface MemberPlan {
  readonly taskId: string;
  readonly serviceId?: string;
  readonly names?: readonly string[];
  readonly addresses: readonly string[];
  readonly serves?: boolean;
  /** Absent: it runs on a node that can be reached. */
  readonly node?: 'down' | 'unknown';
}

export interface ViewPlan {
  readonly networkId: string;
  readonly name?: string;
  readonly subnets?: readonly string[];
  readonly isInternal?: boolean;
  readonly services?: readonly {
    readonly serviceId: string;
    readonly names: readonly string[];
    readonly vips?: readonly string[];
  }[];
  readonly members?: readonly MemberPlan[];
}

/** One node with names and its tasks, as namespaces; the resolver runs in the node's. */
export class NamesLab {
  readonly lab: MeshLab;
  readonly folder: string;
  readonly resolvConf: string;
  #node: { netns: string; agent: NamesAgent } | undefined;
  #tasks = 0;

  constructor(name: string) {
    this.lab = new MeshLab(name);
    this.folder = mkdtempSync(join(tmpdir(), 'swarm-names-'));
    this.resolvConf = join(this.folder, 'resolv.conf');
    this.setResolvers([]);
  }

  get node(): NamesAgent {
    return this.#node!.agent;
  }

  get nodeNetns(): string {
    return this.#node!.netns;
  }

  get namesFolder(): string {
    return join(this.folder, 'names');
  }

  setResolvers(addresses: readonly string[]): void {
    writeFileSync(this.resolvConf, addresses.map((each) => `nameserver ${each}\n`).join(''));
  }

  /** Starts the daemon's part; another one after `crash`. */
  async start(): Promise<void> {
    if (this.#node === undefined) {
      const netns = this.lab.emptyNamespace('node').split('/').at(-1)!;
      this.lab.sh(netns, 'ip link set lo up');
      this.#node = { netns, agent: await this.lab.program<NamesOrders>(netns, AGENT) };
    }
    await this.node.open(this.namesFolder, this.resolvConf);
  }

  /** The daemon's process dies, and another one starts. */
  async restart(): Promise<void> {
    await this.node.stop();
    const { netns } = this.#node!;
    this.#node = { netns, agent: await this.lab.program<NamesOrders>(netns, AGENT) };
    await this.start();
  }

  /** A process inside the node's namespace. */
  inside(): Promise<NamesAgent> {
    return this.lab.program<NamesOrders>(this.nodeNetns, AGENT);
  }

  async task(): Promise<NamesTask> {
    const number = ++this.#tasks;
    const path = this.lab.emptyNamespace(`t${number}`);
    const netns = path.split('/').at(-1)!;
    this.lab.sh(netns, 'ip link set lo up');
    const agent = await this.lab.program<NamesOrders>(netns, AGENT);
    return { taskId: `${String(number).padStart(12, 't')}rest`, netns, path, agent };
  }

  /** Number of the resolver's process; undefined when none runs. */
  get resolverPid(): number | undefined {
    const file = join(this.namesFolder, 'resolver.json');
    if (!existsSync(file)) return undefined;
    const { pid } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number };
    return existsSync(`/proc/${pid}`) && !isZombie(pid) ? pid : undefined;
  }

  async close(): Promise<void> {
    await this.#node?.agent.close(false).catch(() => {});
    await this.lab.close();
    const pid = this.resolverPid;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function isZombie(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

/** A view of one network, from the little that matters to names. */
export function viewOf(plan: ViewPlan): PlainView {
  const { networkId, name = networkId, subnets = ['10.0.1.0/24'], isInternal = false } = plan;
  const peer = {
    nodeId: 'node1',
    index: 1,
    address: ip('198.18.0.1'),
    subnet: '10.240.1.0/24' as never,
    down: false,
    userspace: false,
  };
  return {
    overlay: {
      networkId: parseNetworkId(networkId)!,
      name,
      subnets,
      isInternal,
      isEncrypted: false,
      mtuBytes: undefined,
    },
    services: (plan.services ?? []).map(({ serviceId, names, vips = [] }) => ({
      serviceId,
      names,
      vips: vips.map(ip),
    })),
    members: (plan.members ?? []).map((member) => ({
      member: {
        taskId: parseTaskId(member.taskId)!,
        nodeId: 'node1',
        serviceId: member.serviceId ?? '',
        names: member.names ?? [],
        networks: new Map(),
        serves: member.serves ?? true,
      },
      addresses: member.addresses.map(ip),
      peer: member.node === 'unknown' ? undefined : { ...peer, down: member.node === 'down' },
    })),
  };
}

/** @throws when it is no address */
export function ip(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new RangeError(`${text} is not an address`);
  return address;
}
