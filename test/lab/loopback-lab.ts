import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@swarm/sim';
import type { ClusterLab } from './cluster.js';
import { alive, Host } from './host.js';
import { SWARM_BIN } from './paths.js';
import { type HostState, labsFolder } from './state.js';

const START_DEADLINE_MS = 30_000;

/** A host of a lab without root: a daemon on its own loopback address, without namespaces. */
export class LoopbackHost extends Host {
  constructor(labName: string, state: HostState) {
    super(labName, 'process', state);
  }

  override get up(): boolean {
    return (
      this.state.role === 'client' ||
      (this.state.daemonPid !== undefined && alive(this.state.daemonPid))
    );
  }

  override enter(command: readonly string[]): string[] {
    return command[0] === 'swarm'
      ? [process.execPath, '--', SWARM_BIN, ...command.slice(1)]
      : [...command];
  }

  override async boot(): Promise<void> {
    await mkdir(this.state.folder, { recursive: true, mode: 0o755 });
  }

  override async startDaemons(): Promise<void> {
    if (this.state.role === 'client') return;
    const log = await open(join(this.state.folder, 'daemon.log'), 'a');
    const args = [
      'daemon',
      '--data-root',
      join(this.state.folder, 'data'),
      '--socket',
      this.state.socket,
    ];
    args.push('--runtime', 'process', '--mesh', 'userspace', '--mesh-bind', this.address);
    const child = spawn(process.execPath, ['--', SWARM_BIN, ...args], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    await log.close();
    child.unref();
    this.state.daemonPid = child.pid!;
    await until(
      `the daemon of ${this.name} answers (see ${join(this.state.folder, 'daemon.log')})`,
      async () => (await this.api('GET', '/_ping')).status === 200,
      { deadlineMs: START_DEADLINE_MS },
    );
  }

  /**
   * Kills the daemon, then its tasks and their supervisors (SIGKILL), until none is left: a process can fork
   * while we look for the others.
   */
  override async kill(): Promise<void> {
    const { daemonPid } = this.state;
    if (daemonPid !== undefined && alive(daemonPid)) {
      process.kill(daemonPid, 'SIGKILL');
      await until(`the daemon of ${this.name} is dead`, () => !alive(daemonPid), { everyMs: 10 });
    }
    delete this.state.daemonPid;
    await until(
      `every task of ${this.name} is dead`,
      async () => {
        const pids = await this.#taskProcesses();
        for (const pid of pids) {
          try {
            process.kill(pid, 'SIGKILL');
          } catch {
            // It ended meanwhile.
          }
        }
        return pids.length === 0;
      },
      { everyMs: 10 },
    );
  }

  /**
   * Finds tasks' processes by a task id in their environment, which children inherit and whose folder is here,
   * and supervisors by the folder in their command or among their open files.
   */
  async #taskProcesses(): Promise<number[]> {
    const data = join(this.state.folder, 'data');
    const tasks = await readdir(join(data, 'tasks', 'tasks')).catch(() => []);
    const marks = [...tasks.map((id) => `SWARM_TASK_ID=${id}\0`), `${data}/`];
    const found: number[] = [];
    for (const entry of await readdir('/proc')) {
      const pid = Number(entry);
      if (!/^\d+$/.test(entry) || pid === process.pid || !alive(pid)) continue;
      const traces = await Promise.all([
        readFile(`/proc/${entry}/environ`, 'utf8').catch(() => ''),
        readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => ''),
        openFiles(pid),
      ]);
      const trace = traces.join('\0');
      if (marks.some((mark) => trace.includes(mark))) found.push(pid);
    }
    return found;
  }
}

/** Paths that a process has open; empty if it is another user's, or gone. */
async function openFiles(pid: number): Promise<string> {
  const folder = `/proc/${pid}/fd`;
  const links = await readdir(folder).catch(() => []);
  const paths = await Promise.all(
    links.map((link) => readlink(join(folder, link)).catch(() => '')),
  );
  return paths.join('\0');
}

/** A cluster without root, for the demo: five daemons on loopback addresses. */
export class LoopbackLab implements ClusterLab {
  readonly state: { readonly name: string; readonly runtime: 'process' };
  readonly hosts: readonly LoopbackHost[];
  readonly folder: string;

  private constructor(name: string, folder: string, hosts: readonly LoopbackHost[]) {
    this.state = { name, runtime: 'process' };
    this.folder = folder;
    this.hosts = hosts;
  }

  /** The lab with this name; requests show whether it is up. */
  static at(name: string, managers: number, workers: number): LoopbackLab {
    const folder = join(labsFolder(), name);
    const hosts: LoopbackHost[] = [];
    const add = (role: 'manager' | 'worker', prefix: string, count: number, first: number) => {
      for (let i = 1; i <= count; i++) {
        const home = join(folder, `${prefix}${i}`);
        const address = `127.0.77.${first + i}`;
        hosts.push(
          new LoopbackHost(name, {
            name: `${prefix}${i}`,
            role,
            address,
            namespace: '',
            folder: home,
            socket: join(home, 'swarm.sock'),
            cut: false,
          }),
        );
      }
    };
    add('manager', 'm', managers, 10);
    add('worker', 'w', workers, 50);
    return new LoopbackLab(name, folder, hosts);
  }

  /** Starts the daemons and forms the cluster. Leaves nothing on failure. */
  static async up(name: string, managers: number, workers: number): Promise<LoopbackLab> {
    const lab = LoopbackLab.at(name, managers, workers);
    if (existsSync(lab.folder))
      throw new Error(`lab '${name}' exists in ${lab.folder}: take it down first`);
    try {
      for (const host of lab.hosts) await host.boot();
      await Promise.all(lab.hosts.map((host) => host.startDaemons()));
      await lab.#form();
    } catch (error) {
      await lab.down();
      throw error;
    }
    return lab;
  }

  get managers(): LoopbackHost[] {
    return this.hosts.filter((host) => host.state.role === 'manager');
  }

  get nodes(): readonly LoopbackHost[] {
    return this.hosts;
  }

  host(name: string): LoopbackHost {
    const host = this.hosts.find((each) => each.name === name);
    if (host === undefined) throw new Error(`no host '${name}'`);
    return host;
  }

  /** The host with this address. */
  hostAt(address: string): LoopbackHost {
    const host = this.hosts.find((each) => each.address === address);
    if (host === undefined) throw new Error(`no host has the address ${address}`);
    return host;
  }

  async down(): Promise<void> {
    for (const host of this.hosts) await host.kill();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #form(): Promise<void> {
    const first = this.managers[0]!;
    const addresses = (host: Host) => [
      '--listen-addr',
      `${host.address}:2377`,
      '--advertise-addr',
      host.address,
    ];
    await first.must(['swarm', 'init', ...addresses(first)]);
    for (const host of this.hosts.slice(1)) {
      const token = (await first.must(['swarm', 'join-token', '-q', host.state.role])).trim();
      await host.must([
        'swarm',
        'join',
        ...addresses(host),
        '--token',
        token,
        `${first.address}:2377`,
      ]);
    }
    await until('all nodes are ready', async () => {
      const nodes = (await first.api('GET', '/nodes')).json as { Status: { State: string } }[];
      return (
        nodes.length === this.hosts.length && nodes.every((node) => node.Status.State === 'ready')
      );
    });
  }
}
