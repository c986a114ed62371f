import { spawn } from 'node:child_process';
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterLab } from './cluster.js';
import { alive, Host } from './host.js';
import { SWARM_BIN } from './paths.js';
import { type HostState, labsFolder } from './state.js';
import { until } from './wait.js';

const START_DEADLINE_MS = 30_000;

/** A host of a lab without root: a daemon on a loopback address of its own, no namespaces. */
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
      ? [process.execPath, SWARM_BIN, ...command.slice(1)]
      : [...command];
  }

  override async boot(): Promise<void> {
    await mkdir(this.state.folder, { recursive: true });
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
    const child = spawn(process.execPath, [SWARM_BIN, ...args], {
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

  /** SIGKILL to the daemon and to every process that runs out of the host's folder. */
  override async kill(): Promise<void> {
    const pids = await this.#processes();
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended in between.
      }
    }
    await until(`host ${this.name} is dead`, () => pids.every((pid) => !alive(pid)), {
      everyMs: 10,
    });
    delete this.state.daemonPid;
  }

  /** The daemon, and tasks: their environment names the host's folder. */
  async #processes(): Promise<number[]> {
    const found = this.state.daemonPid === undefined ? [] : [this.state.daemonPid];
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
      const [environ, cmdline] = await Promise.all(
        ['environ', 'cmdline'].map((file) =>
          readFile(`/proc/${entry}/${file}`, 'utf8').catch(() => ''),
        ),
      );
      if (`${environ}${cmdline}`.includes(join(this.state.folder, 'data')))
        found.push(Number(entry));
    }
    return found;
  }
}

/** A cluster without root: five daemons on loopback addresses, for the demonstration. */
export class LoopbackLab implements ClusterLab {
  readonly state = { runtime: 'process' } as const;
  readonly hosts: readonly LoopbackHost[];
  readonly folder: string;

  private constructor(folder: string, hosts: readonly LoopbackHost[]) {
    this.folder = folder;
    this.hosts = hosts;
  }

  static async up(name: string, managers: number, workers: number): Promise<LoopbackLab> {
    const folder = join(
      process.env.SWARM_LAB_DIR ?? join(labsFolder(), `user-${process.getuid?.() ?? 0}`),
      name,
    );
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
    const lab = new LoopbackLab(folder, hosts);
    try {
      for (const host of hosts) await host.boot();
      await Promise.all(hosts.map((host) => host.startDaemons()));
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
