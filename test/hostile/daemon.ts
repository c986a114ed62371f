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
/** An orderly end, leadership handed over. */
const STOP_LIMIT_MS = 20_000;
const PAGE_BYTES = 4096;
const INSPECTOR_PORT = 9229;

/**
 * Root in here is nobody in particular to the daemon: it then uses no namespaces and no cgroups, and its
 * tasks listen on loopback, as for users without root. Files it makes are root's all the same.
 */
const UNPRIVILEGED =
  process.getuid?.() === 0 ? 'unshare --user --map-user=1000 --map-group=1000'.split(' ') : [];

export interface DaemonOptions {
  readonly name: string;
  readonly address: string;
  readonly folder: string;
  readonly role: 'manager' | 'worker';
  /** Called when it ends and nobody had asked it to. */
  readonly onEnd: (daemon: Daemon, how: string) => void;
}

/** The product: `swarm daemon` as a process, on a loopback address of its own. */
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

  /** Where it can be debugged, once it was asked to. */
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

  /** At once, when this process ends in the middle: the daemon, its tasks and their supervisors. */
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
        // It ended in between, or is another user's.
      }
    }
  }

  /** Ends it in order; tasks keep running. @returns its exit code or signal */
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

  /** Memory of the process that is in RAM (proc(5), statm). */
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
