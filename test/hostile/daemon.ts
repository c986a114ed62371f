import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DAEMON_NODE_FLAGS } from '@swarm/node';
import { loadNodeIdentity, type NodeIdentity } from '@swarm/identity';
import { SWARM_BIN, until } from '../lab/index.js';
import { LoopbackHost } from '../lab/loopback-lab.js';

const START_DEADLINE_MS = 30_000;
/** Time for a clean shutdown, including a transfer of leadership. */
const STOP_LIMIT_MS = 20_000;
const PAGE_BYTES = 4096;
const INSPECTOR_PORT = 9229;

/**
 * Makes root an ordinary user to the daemon: it uses no namespaces and no cgroups, and its tasks listen on
 * loopback, as for users without root. Its files still belong to root.
 */
const UNPRIVILEGED =
  process.getuid?.() === 0 ? 'unshare --user --map-user=1000 --map-group=1000'.split(' ') : [];

export interface DaemonOptions {
  readonly name: string;
  readonly address: string;
  readonly folder: string;
  readonly role: 'manager' | 'worker';
  /** Called when it ends without being told to. */
  readonly onEnd: (daemon: Daemon, how: string) => void;
}

/** A `swarm daemon` process on its own loopback address. */
export class Daemon extends LoopbackHost {
  readonly #options: DaemonOptions;
  #ended: Promise<string> | undefined;
  #isStopping = false;

  constructor(options: DaemonOptions) {
    const { name, address, folder, role } = options;
    const socket = join(folder, 'swarm.sock');
    super('hostile', { name, role, address, namespace: '', folder, socket, cut: false });
    this.#options = options;
  }

  get pid(): number {
    return this.state.daemonPid!;
  }

  get dataRoot(): string {
    return join(this.state.folder, 'data');
  }

  get logPath(): string {
    return join(this.state.folder, 'daemon.log');
  }

  /** Where its inspector listens, once it is switched on. */
  get inspectorAddress(): string {
    return `${this.address}:${INSPECTOR_PORT}`;
  }

  override async startDaemons(): Promise<void> {
    const log = await open(this.logPath, 'a');
    const { folder, socket } = this.state;
    const [program, ...args] = [
      ...UNPRIVILEGED,
      process.execPath,
      ...DAEMON_NODE_FLAGS,
      `--inspect-port=${this.inspectorAddress}`,
      '--',
      SWARM_BIN,
      'daemon',
      ...['--data-root', this.dataRoot, '--socket', socket],
      ...['--runtime', 'process', '--mesh', 'userspace', '--mesh-bind', this.address],
      ...['--log-format', 'json'],
    ];
    const child = spawn(program!, args, { cwd: folder, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    this.state.daemonPid = child.pid!;
    this.#isStopping = false;
    this.#ended = once(child, 'exit').then(([code, signal]) => String(signal ?? code));
    void this.#ended.then((how) => {
      if (!this.#isStopping) this.#options.onEnd(this, how);
    });
    await until(
      `the daemon of ${this.name} answers`,
      async () => (await this.api('GET', '/_ping')).status === 200,
      { deadlineMs: START_DEADLINE_MS },
    );
  }

  override async kill(): Promise<void> {
    this.#isStopping = true;
    await super.kill();
  }

  /** Kills the daemon, its tasks and their supervisors at once, when this process ends early. */
  killNow(): void {
    this.#isStopping = true;
    if (this.up) process.kill(this.pid, 'SIGKILL');
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
      try {
        const traces = ['environ', 'cmdline'].map((name) =>
          readFileSync(`/proc/${entry}/${name}`, 'utf8'),
        );
        if (traces.some((trace) => trace.includes(`${this.dataRoot}/`)))
          process.kill(Number(entry), 'SIGKILL');
      } catch {
        // It has ended meanwhile, or belongs to another user.
      }
    }
  }

  /** Shuts it down cleanly; tasks keep running. @returns its exit code or signal */
  async stop(): Promise<string> {
    this.#isStopping = true;
    process.kill(this.pid, 'SIGTERM');
    const late = new Promise<string>((resolve) => {
      setTimeout(resolve, STOP_LIMIT_MS, `not within ${STOP_LIMIT_MS} ms`).unref();
    });
    return Promise.race([this.#ended!, late]);
  }

  async identity(): Promise<NodeIdentity> {
    const identity = await loadNodeIdentity(join(this.dataRoot, 'certificates'));
    if (identity === undefined) throw new Error(`${this.name} has no certificate`);
    return identity;
  }

  /** Resident memory of the process (proc(5), statm). */
  residentBytes(): number {
    return Number(readFileSync(`/proc/${this.pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES;
  }

  openFiles(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  logBytes(): number {
    return statSync(this.logPath).size;
  }
}
