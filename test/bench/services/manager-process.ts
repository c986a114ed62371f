import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { until } from '@swarm/sim';

const START_DEADLINE_MS = 30_000;
/** `sysconf(_SC_CLK_TCK)` of every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;

export interface ManagerProcessOptions {
  /** The `swarm` command that it runs. */
  readonly program: string;
  /** Holds everything of it, the log included. */
  readonly folder: string;
  /** Its own loopback address, for port 2377. */
  readonly address: string;
  /** Flags for Node.js. */
  readonly flags?: readonly string[];
}

/** A cluster of one manager: a real daemon with its databases on disk, without a mesh in the kernel. */
export class ManagerProcess {
  readonly #process: ChildProcess;
  readonly #socketPath: string;
  readonly #agent: Agent;

  static async up(options: ManagerProcessOptions): Promise<ManagerProcess> {
    await mkdir(options.folder, { recursive: true });
    const log = await open(join(options.folder, 'daemon.log'), 'a');
    const manager = new ManagerProcess(options, log.fd);
    await log.close();
    try {
      await manager.#init(options.address);
    } catch (error) {
      await manager.down();
      throw error;
    }
    return manager;
  }

  private constructor(
    { program, folder, address, flags = [] }: ManagerProcessOptions,
    log: number,
  ) {
    this.#socketPath = join(folder, 'swarm.sock');
    this.#agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
    const args = ['daemon', '--data-root', join(folder, 'data'), '--socket', this.#socketPath];
    args.push('--runtime', 'process', '--mesh', 'userspace', '--mesh-bind', address);
    this.#process = spawn(process.execPath, [...flags, '--', program, ...args], {
      cwd: folder,
      stdio: ['ignore', log, log],
    });
  }

  async #init(address: string): Promise<void> {
    const isUp = () =>
      this.call('GET', '/_ping').then(
        ({ status }) => status === 200,
        () => this.#process.exitCode !== null,
      );
    await until('the daemon answers', isUp, { deadlineMs: START_DEADLINE_MS });
    const body = { ListenAddr: `${address}:2377`, AdvertiseAddr: address };
    const { status, text } = await this.call('POST', '/swarm/init', body);
    if (status !== 200) throw new Error(`init: ${status} ${text}`);
    const isReady = async () => {
      const { text } = await this.call('GET', '/nodes');
      return text.includes('"State":"ready"');
    };
    await until('its node is ready', isReady, { deadlineMs: START_DEADLINE_MS });
  }

  call(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const data = body === undefined ? '' : JSON.stringify(body);
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(data),
    };
    const options = { socketPath: this.#socketPath, agent: this.#agent, method, path, headers };
    return new Promise((resolve, reject) => {
      const call = request(options, (response) => {
        response.setEncoding('utf8');
        let text = '';
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      });
      call.on('error', reject);
      call.end(data);
    });
  }

  /** Processor time that it has used so far, seconds. */
  async processorSeconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.#process.pid}/stat`, 'utf8');
    // The name, in parentheses, may hold anything. proc(5): utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  async down(): Promise<void> {
    this.#agent.destroy();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }
}
