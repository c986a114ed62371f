import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AgentOf, MeshLab } from './lab.js';
import type { NamesOrders } from './names-agent.js';

const AGENT = fileURLToPath(new URL('./names-agent.js', import.meta.url));

export type NamesAgent = AgentOf<NamesOrders>;

/** A task with a client of names inside. */
export interface NamesTask {
  readonly taskId: string;
  readonly netns: string;
  readonly path: string;
  readonly agent: NamesAgent;
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

  /** As when the node's data root is removed. */
  removeFiles(): void {
    rmSync(this.namesFolder, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    if (this.#node?.agent.child.connected === true) await this.node.close(false).catch(() => {});
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
