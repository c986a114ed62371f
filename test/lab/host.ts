import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { until } from '@swarm/sim';
import { type CommandOptions, type CommandResult, run, start } from './command.js';
import { DAEMON_NODE_FLAGS } from '@swarm/node';
import { LAB_ASSETS, SWARM_BIN } from './paths.js';
import type { HostState, LabRuntime } from './state.js';

const START_DEADLINE_MS = 30_000;

/** A daemon's reply. */
export interface ApiReply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
  /** The body as JSON, if it is JSON. */
  readonly json: unknown;
}

/** One test host: a network, process, mount and host-name namespace with our daemon in it. */
export class Host {
  readonly state: HostState;
  readonly #labName: string;
  readonly #runtime: LabRuntime;

  constructor(labName: string, runtime: LabRuntime, state: HostState) {
    this.#labName = labName;
    this.#runtime = runtime;
    this.state = state;
  }

  get name(): string {
    return this.state.name;
  }

  get address(): string {
    return this.state.address;
  }

  /** Whether the host's first process is alive. */
  get up(): boolean {
    return this.state.initPid !== undefined && alive(this.state.initPid);
  }

  /** Starts the host's namespaces; its daemons are started separately. */
  async boot(): Promise<void> {
    if (this.up) return;
    await mkdir(this.state.folder, { recursive: true, mode: 0o755 });
    // In memory on a real host, so gone with its power: numbers of processes in there may be others' now.
    await rm(join(this.state.folder, 'engine', 'exec'), { recursive: true, force: true });
    const log = await open(join(this.state.folder, 'init.log'), 'w');
    const child = spawn(
      'nsenter',
      [
        `--net=/run/netns/${this.state.namespace}`,
        ...'unshare --pid --fork --kill-child --mount --mount-proc --uts bash'.split(' '),
        join(LAB_ASSETS, 'host-init.sh'),
        this.state.name,
      ],
      { detached: true, stdio: ['ignore', log.fd, log.fd] },
    );
    const gone = new Promise<never>((_, reject) => {
      child.on('error', reject);
      child.on('exit', (code) =>
        reject(new Error(`host ${this.name} did not start: exit ${code}`)),
      );
    });
    gone.catch(() => {
      // The race below handles it; later the host is killed on purpose.
    });
    child.unref();
    this.state.unsharePid = child.pid!;
    try {
      await Promise.race([
        gone,
        until(`host ${this.name} is up`, async () =>
          (await readFile(join(this.state.folder, 'init.log'), 'utf8')).includes('up\n'),
        ),
      ]);
    } finally {
      await log.close();
    }
    this.state.initPid = await childOf(child.pid!);
  }

  /** Kills every process of the host at once (SIGKILL), as in a power cut. */
  async kill(): Promise<void> {
    const { initPid, unsharePid } = this.state;
    if (initPid !== undefined && alive(initPid)) process.kill(initPid, 'SIGKILL');
    await until(
      `host ${this.name} is dead`,
      () =>
        (initPid === undefined || !alive(initPid)) &&
        (unsharePid === undefined || !alive(unsharePid)),
      { everyMs: 10 },
    );
    delete this.state.initPid;
    delete this.state.unsharePid;
    delete this.state.daemonPid;
  }

  /** Kills only the daemon; tasks and kernel state stay. */
  async killDaemon(): Promise<void> {
    const pid = this.state.daemonPid;
    if (pid === undefined || !alive(pid)) throw new Error(`no daemon runs on ${this.name}`);
    process.kill(pid, 'SIGKILL');
    await until(`the daemon of ${this.name} is dead`, () => !alive(pid), { everyMs: 10 });
    delete this.state.daemonPid;
  }

  /** Kills only the Docker Engine (SIGKILL); its containers end when it starts again. */
  async killEngine(): Promise<void> {
    const pid = (await readFile(join(this.state.folder, 'engine', 'pid'), 'utf8')).trim();
    await this.must(['kill', '-KILL', pid]);
    await until(`the engine of ${this.name} is dead`, async () => !(await this.#engineAnswers()));
  }

  /** Starts the host's Docker Engine (if it has one and it does not run) and our daemon, and waits until it responds. */
  async startDaemons(options: { extraArgs?: readonly string[] } = {}): Promise<void> {
    if (this.state.role === 'client') return;
    await this.startEngine();
    const pid = await this.#startDetached('daemon.log', this.daemonCommand(options.extraArgs));
    this.state.daemonPid = await childOf(pid);
    await until(
      `the daemon of ${this.name} answers (see ${join(this.state.folder, 'daemon.log')})`,
      async () => (await this.api('GET', '/_ping')).status === 200,
      { deadlineMs: START_DEADLINE_MS, everyMs: 30 },
    );
  }

  /** What starts the host's daemon. */
  daemonCommand(extraArgs: readonly string[] = []): string[] {
    const args = [
      'daemon',
      '--data-root',
      join(this.state.folder, 'data'),
      '--socket',
      this.state.socket,
    ];
    args.push('--runtime', this.#runtime);
    if (this.state.engineSocket !== undefined)
      args.push('--engine', `unix://${this.state.engineSocket}`);
    args.push('--cgroup-parent', this.cgroupParent, ...extraArgs);
    return [process.execPath, ...DAEMON_NODE_FLAGS, this.#program, ...args];
  }

  /** Name of the cgroup that contains the host's tasks. */
  get cgroupParent(): string {
    return `swarm-lab-${this.#labName}-${this.name}`;
  }

  /** The command line that enters this host. */
  enter(command: readonly string[]): string[] {
    if (this.state.initPid === undefined) throw new Error(`host ${this.name} is not up`);
    return [
      'nsenter',
      '-t',
      `${this.state.initPid}`,
      '--net',
      '--pid',
      '--mount',
      '--uts',
      '--',
      ...this.#translate(command),
    ];
  }

  /** Runs a command inside the host; `swarm` is our own, talking to this host's daemon. */
  exec(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run(this.enter(command), { ...options, env: { ...this.environment(), ...options.env } });
  }

  /** Like {@link exec}, but throws on failure. */
  async must(command: readonly string[], options: CommandOptions = {}): Promise<string> {
    const result = await this.exec(command, options);
    if (result.code !== 0) {
      throw new Error(
        `${this.name}: ${command.join(' ')} failed with ${result.code}: ${result.stderr || result.stdout}`,
      );
    }
    return result.stdout;
  }

  /** Starts a command inside the host and leaves it running; the caller stops it. */
  spawn(command: readonly string[]): ChildProcess {
    return start(this.enter(command), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.environment(),
    });
  }

  environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      SWARM_HOST: `unix://${this.state.socket}`,
      DOCKER_HOST: `unix://${this.state.socket}`,
    };
  }

  /** Sends one request to the host's daemon over its local socket. */
  api(
    method: string,
    path: string,
    body?: unknown,
    options: { timeoutMs?: number } = {},
  ): Promise<ApiReply> {
    return new Promise((resolve, reject) => {
      const payload =
        body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
      const call = request(
        {
          socketPath: this.state.socket,
          path,
          method,
          timeout: options.timeoutMs ?? 30_000,
          agent: false,
          headers:
            payload === undefined
              ? {}
              : {
                  'content-type': 'application/json',
                  'content-length': Buffer.byteLength(payload),
                },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              json: asJson(text),
            }),
          );
        },
      );
      call.on('timeout', () =>
        call.destroy(new Error(`${method} ${path} on ${this.name}: no answer in time`)),
      );
      call.on('error', reject);
      call.end(payload);
    });
  }

  async #engineAnswers(): Promise<boolean> {
    const socket = `unix://${this.state.engineSocket!}`;
    return (await run(['docker', '-H', socket, 'version'])).code === 0;
  }

  /** Starts the host's Docker Engine, if it has one and it does not run. */
  async startEngine(): Promise<void> {
    if (this.#runtime !== 'docker' || (await this.#engineAnswers())) return;
    const socket = this.state.engineSocket!;
    const folder = join(this.state.folder, 'engine');
    await mkdir(folder, { recursive: true });
    // An engine that was killed leaves it, and its number may be another process's in the new namespace.
    await rm(join(folder, 'pid'), { force: true });
    await this.#startDetached('dockerd.log', [
      'dockerd',
      ...'--bridge=none --iptables=false --ip6tables=false --ip-forward=false --shutdown-timeout=5'.split(
        ' ',
      ),
      ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
      ...['--pidfile', join(folder, 'pid'), '--host', `unix://${socket}`],
      ...['--cgroup-parent', `/${this.cgroupParent}`],
    ]);
    await until(
      `the engine of ${this.name} answers (see ${join(this.state.folder, 'dockerd.log')})`,
      () => this.#engineAnswers(),
      { deadlineMs: START_DEADLINE_MS, everyMs: 200 },
    );
  }

  /** Starts a command in the host that outlives this process; returns the pid of its `nsenter`. */
  async #startDetached(logName: string, command: readonly string[]): Promise<number> {
    const log = await open(join(this.state.folder, logName), 'a');
    const [program, ...args] = this.enter(command) as [string, ...string[]];
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: this.environment(),
    });
    await log.close();
    child.on('error', (error) => console.error(`${this.name}: ${error.message}`));
    child.unref();
    return child.pid!;
  }

  get #program(): string {
    return this.state.program ?? SWARM_BIN;
  }

  #translate(command: readonly string[]): string[] {
    return command[0] === 'swarm'
      ? [process.execPath, '--', this.#program, ...command.slice(1)]
      : [...command];
  }
}

/** Whether a process exists and is not a zombie (proc(5), stat, third field). */
export function alive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
    return state !== 'Z' && state !== 'X';
  } catch {
    return false;
  }
}

async function childOf(pid: number): Promise<number> {
  return until(
    `a child of process ${pid}`,
    async () => {
      const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
      const first = children.trim().split(' ')[0];
      return first === undefined || first === '' ? undefined : Number(first);
    },
    { everyMs: 5 },
  );
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
