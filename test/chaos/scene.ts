import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Prng } from '@swarm/sim';
import type { Task } from '@swarm/api';
import { Cluster, type Host, type Lab, TEST_IMAGE, until } from '../lab/index.js';
import { fileForTasks } from '../lab/task-files.js';
import type { Death, Outage } from './record.js';

const READY_LIMIT_MS = 60_000;
/** After a node is ready again it takes this long at most until it leads where it should. */
const SETTLE_MS = 2_000;

/** Of each daemon. */
const WARNINGS_LIMIT = 30;

export type Say = (text: string) => void;

/** A lab and what was done to it, with times. */
export class ChaosScene {
  readonly lab: Lab;
  readonly cluster: Cluster;
  readonly prng: Prng;
  readonly outages: Outage[] = [];
  readonly deaths: Death[] = [];
  /** Where tasks and clients write what they saw. */
  readonly folder: string;
  readonly #say: Say;
  readonly #startedAt = Date.now();

  private constructor(lab: Lab, prng: Prng, folder: string, say: Say) {
    this.lab = lab;
    this.cluster = new Cluster(lab);
    this.prng = prng;
    this.folder = folder;
    this.#say = say;
  }

  static async open(lab: Lab, seed: number, say: Say): Promise<ChaosScene> {
    // Beside what the lab copies for tasks, and removed with it.
    const folder = join('/var/lib/swarm-lab', lab.state.name, 'seen');
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o777);
    return new ChaosScene(lab, new Prng(seed, 'chaos'), folder, say);
  }

  /** Adds a line to the timeline. */
  say(text: string, at = Date.now()): void {
    this.#say(`${((at - this.#startedAt) / 1000).toFixed(2).padStart(7)} ${text}`);
  }

  /** Where a task finds a program of this folder. */
  program(name: string): Promise<string> {
    return fileForTasks(this.lab.state.name, fileURLToPath(new URL(`./${name}`, import.meta.url)));
  }

  /**
   * The end of a `service create` whose tasks run a program of this folder with Node.js, and may write to the folder:
   * an image and a command. A container has this machine's Node.js, and the libraries that it needs.
   */
  async runs(name: string, ...args: string[]): Promise<string[]> {
    const program = await this.program(name);
    const node = await fileForTasks(this.lab.state.name, process.execPath);
    if (this.lab.state.runtime === 'process') return ['host', node, program, ...args];
    const seen = new Set(['/usr', '/lib', '/lib64', dirname(node), dirname(program)]);
    const mounts = [...seen].map((path) => `type=bind,src=${path},dst=${path},readonly`);
    mounts.push(`type=bind,src=${this.folder},dst=${this.folder}`);
    const flags = mounts.flatMap((mount) => ['--mount', mount]);
    return [...flags, TEST_IMAGE, node, program, ...args];
  }

  /** Runs a fault that takes a node out; it is out until it is ready and has settled. */
  async outage(host: Host, what: string, run: () => Promise<void>): Promise<void> {
    const led = (await this.cluster.leader()) === host;
    const from = Date.now();
    this.say(`${what} ${host.name}${led ? ', the leader' : ''}`);
    const outage = { node: host.name, led, from, back: Infinity, to: Infinity };
    this.outages.push(outage);
    await run();
    outage.back = Date.now();
    await this.untilReady();
    outage.to = Date.now() + SETTLE_MS;
    this.say(`${host.name} is ready, ${Date.now() - outage.back} ms after it was back`);
  }

  async untilReady(): Promise<void> {
    const count = this.lab.nodes.length;
    await until(
      `${count} nodes are ready`,
      async () =>
        (await this.cluster.nodes()).filter(({ Status }) => Status.State === 'ready').length ===
        count,
      { deadlineMs: READY_LIMIT_MS, everyMs: 100 },
    );
  }

  /** Adds to the timeline where a service's tasks run. */
  async sayPlaces(service: string): Promise<void> {
    const nodes = new Map(
      (await this.cluster.nodes()).map(({ ID, Description }) => [ID, Description?.Hostname]),
    );
    const tasks = await this.cluster.running(service);
    const places = tasks.map(({ NodeID }) => nodes.get(NodeID ?? '') ?? 'a node that is gone');
    this.say(`  ${service} runs on ${places.sort().join(' ') || 'no node'}`);
  }

  /** Adds to the timeline what daemons warned of. */
  async sayWarnings(): Promise<void> {
    for (const { name, state } of this.lab.nodes) {
      const log = await readFile(join(state.folder, 'daemon.log'), 'utf8');
      const warnings = log.split('\n').filter((line) => / (WARN|ERROR) /.test(line));
      for (const line of warnings.slice(-WARNINGS_LIMIT)) this.say(`${name}: ${line}`);
    }
  }

  /** Copies what servers, clients and daemons wrote. */
  async save(folder: string, services: readonly string[]): Promise<void> {
    await rm(folder, { recursive: true, force: true });
    await cp(this.folder, join(folder, 'seen'), { recursive: true });
    for (const { name, state } of this.lab.nodes) {
      await cp(join(state.folder, 'daemon.log'), join(folder, `${name}.log`));
    }
    for (const service of services) {
      const tasks = await this.cluster.tasks(service);
      await writeFile(join(folder, `${service}.json`), JSON.stringify(tasks, null, 2));
    }
  }

  /** Kills all processes of a running task at once. */
  async killTask(task: Task): Promise<void> {
    const pids = await processesOf(task);
    if (pids.length === 0) return;
    const node = (await this.cluster.nodes()).find(({ ID }) => ID === task.NodeID);
    const at = Date.now();
    for (const pid of pids) kill(pid);
    this.deaths.push({ task: task.ID, at });
    this.say(`kill a task of ${node?.Description?.Hostname}: ${task.ID}`, at);
  }

  /** All lines that tasks and clients wrote, in files of this name. A line that a kill cut short is not one. */
  async read<T>(prefix: string): Promise<T[]> {
    const lines: T[] = [];
    for (const name of await readdir(this.folder)) {
      if (!name.startsWith(prefix)) continue;
      for (const line of (await readFile(join(this.folder, name), 'utf8')).split('\n')) {
        if (line.endsWith('}')) lines.push(JSON.parse(line) as T);
      }
    }
    return lines;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended with the one before.
  }
}

/** Processes that a task's program is: their environment names the task. */
async function processesOf({ ID }: Task): Promise<number[]> {
  const pids: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    if (environment.split('\0').includes(`TASK=${ID}`)) pids.push(Number(name));
  }
  return pids;
}
