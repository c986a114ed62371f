import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { silentLogger, systemClock, type Task } from '@swarm/api';
import { until } from '@swarm/sim';
import {
  DockerRuntime,
  type DockerRuntimeOptions,
} from '../../src/runtime/docker/docker-runtime.js';
import { engineAnswers } from '../../src/runtime/docker/engine-client.js';
import { tarFile } from '../../src/runtime/docker/tar-file.js';
import type { RuntimeHarness } from '../contract/runtime-contract.js';
import { makeTask, type TaskWishes } from '../support/make-task.js';
import { makeFolder } from '../support/real.js';

const START_DEADLINE_MS = 30_000;
const APPLETS = [
  'sh',
  'sleep',
  'cat',
  'echo',
  'env',
  'hostname',
  'ls',
  'ip',
  'readlink',
  'test',
  'kill',
  'id',
  'nc',
];
/** Its registry is a port of this machine that nobody listens on: no pull leaves it. */
export const TEST_IMAGE = '127.0.0.1:1/swarm-test/box:1';

export const progress = { started() {}, waiting() {} };
let counter = 0;

/** A task that runs a shell script in the test image. */
export function shell(script: string, wishes: TaskWishes = {}): Task {
  counter += 1;
  return makeTask(`docker${process.pid}x${counter}`, {
    ...wishes,
    container: {
      Image: TEST_IMAGE,
      Command: ['/bin/sh', '-c'],
      Args: [script],
      ...wishes.container,
    },
  });
}

/** Why no engine can be started here; undefined when one can. */
export function engineLacks(): string | undefined {
  if (process.getuid?.() !== 0) return 'run the tests as root';
  for (const program of ['dockerd', 'runc']) {
    if (spawnSync('which', [program]).status !== 0) return `install ${program} (docker.io)`;
  }
  if (!existsSync('/bin/busybox')) return 'install busybox-static';
  return undefined;
}

/** A Docker Engine of the test's own: without a bridge and without a rule in the kernel. */
export class TestEngine {
  readonly folder = makeFolder();
  readonly socketPath = join(this.folder.path, 'docker.sock');
  readonly cgroup = `swarm-test-engine-${process.pid}`;
  readonly #extraArgs: readonly string[];
  #daemon: ChildProcess | undefined;
  readonly #onExit = (): void => {
    this.#daemon?.kill('SIGKILL');
  };

  constructor(extraArgs: readonly string[] = []) {
    this.#extraArgs = extraArgs;
  }

  async start(): Promise<void> {
    // Left by an engine that was killed; where its number lives on in a zombie, the next one would wait.
    rmSync(join(this.folder.path, 'exec', 'containerd', 'containerd.pid'), { force: true });
    const log = openSync(join(this.folder.path, 'dockerd.log'), 'a');
    const daemon = spawn(
      'dockerd',
      [
        ...'--bridge=none --iptables=false --ip6tables=false --ip-forward=false'.split(' '),
        ...['--shutdown-timeout', '2', '--cgroup-parent', `/${this.cgroup}`],
        ...['--data-root', join(this.folder.path, 'data')],
        ...['--exec-root', join(this.folder.path, 'exec')],
        ...['--pidfile', join(this.folder.path, 'pid'), '--host', `unix://${this.socketPath}`],
        ...this.#extraArgs,
      ],
      // containerd writes its stacks to the temporary folder when it is killed over.
      { stdio: ['ignore', log, log], env: { ...process.env, TMPDIR: this.folder.path } },
    );
    this.#daemon = daemon;
    process.once('exit', this.#onExit);
    await until(
      'the engine answers',
      async () => {
        if (daemon.exitCode !== null) throw new Error(`dockerd ended:\n${this.log}`);
        return engineAnswers(this.socketPath);
      },
      { deadlineMs: START_DEADLINE_MS },
    );
  }

  get log(): string {
    return readFileSync(join(this.folder.path, 'dockerd.log'), 'utf8').slice(-2_000);
  }

  /** SIGTERM ends its containers, too; SIGKILL leaves them to the next start. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    daemon.kill(signal);
    await until('the engine ended', () => daemon.exitCode !== null || daemon.signalCode !== null, {
      deadlineMs: START_DEADLINE_MS,
    });
    process.off('exit', this.#onExit);
    this.#daemon = undefined;
  }

  /** Gives it an image with a shell, made from this machine's static busybox. */
  async importImage(name: string = TEST_IMAGE): Promise<void> {
    const root = join(this.folder.path, 'root');
    if (!existsSync(root)) {
      mkdirSync(join(root, 'bin'), { recursive: true });
      mkdirSync(join(root, 'tmp'));
      copyFileSync('/bin/busybox', join(root, 'bin', 'busybox'));
      for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
    }
    const archive = execFileSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 64 * 2 ** 20 });
    const [repo, tag] = [
      name.slice(0, name.lastIndexOf(':')),
      name.slice(name.lastIndexOf(':') + 1),
    ];
    const query = new URLSearchParams({ fromSrc: '-', repo, tag, changes: 'ENV PATH=/bin' });
    await this.api('POST', `/images/create?${query.toString()}`, archive);
  }

  /** Builds an image on the test image; only with instructions that run nothing. */
  async buildImage(name: string, instructions: readonly string[]): Promise<void> {
    const dockerfile = [`FROM ${TEST_IMAGE}`, ...instructions, ''].join('\n');
    const archive = tarFile('Dockerfile', Buffer.from(dockerfile));
    const out = await this.api<unknown>('POST', `/build?t=${encodeURIComponent(name)}`, archive);
    if (String(out).includes('"error"')) throw new Error(String(out));
  }

  /** One request to the engine, apart from the client under test. */
  api<T>(method: string, path: string, body?: Buffer, type?: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const call = request(
        {
          socketPath: this.socketPath,
          method,
          path: `/v1.41${path}`,
          agent: false,
          headers: type === undefined ? {} : { 'content-type': type },
        },
        (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          response.on('error', reject);
          response.on('end', () => {
            if ((response.statusCode ?? 500) >= 400) reject(new Error(text));
            else resolve(parse(text) as T);
          });
        },
      );
      call.on('error', reject);
      call.end(body);
    });
  }

  /** Ends it and removes everything of it; safe at any point. */
  async close(): Promise<void> {
    await this.stop();
    await this.#killLeft();
    const mounts = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => path.startsWith(`${this.folder.path}/`));
    for (const path of mounts.reverse()) spawnSync('umount', ['-l', path]);
    this.folder.remove();
    for (const hierarchy of ['.', ...readdirSync('/sys/fs/cgroup')]) {
      const path = join('/sys/fs/cgroup', hierarchy, this.cgroup);
      if (existsSync(path)) removeCgroup(path);
    }
  }

  /** After a SIGKILL of the engine: containers, and the shims that hold them, name our folder. */
  async #killLeft(): Promise<void> {
    const left = (): number[] =>
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map(Number)
        .filter((pid) => {
          if (pid === process.pid) return false;
          const [command, groups] = [read(`/proc/${pid}/cmdline`), read(`/proc/${pid}/cgroup`)];
          return command.includes(this.folder.path) || groups.includes(`/${this.cgroup}/`);
        });
    await until('nothing of the engine runs', () => {
      for (const pid of left()) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It ended by itself.
        }
      }
      return left().length === 0;
    });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** A runtime on this engine with a mark of its own, whose leftovers fail the test. */
export function openDockerRuntime(
  engine: TestEngine,
  change: Partial<DockerRuntimeOptions> = {},
): RuntimeHarness & {
  runtime: DockerRuntime;
  folder: string;
  reopen(): Promise<DockerRuntime>;
} {
  const folder = makeFolder();
  const open = (): DockerRuntime =>
    new DockerRuntime({
      socketPath: engine.socketPath,
      folder: folder.path,
      clock: systemClock(),
      logger: silentLogger,
      random: Math.random,
      ...change,
    });
  const harness = {
    runtime: open(),
    folder: folder.path,
    async reopen() {
      await harness.runtime.close();
      harness.runtime = open();
      return harness.runtime;
    },
    async close() {
      for (const { taskId } of await harness.runtime.list()) await harness.runtime.remove(taskId);
      for (const id of await harness.runtime.listSandboxes()) {
        await harness.runtime.removeSandbox(id);
      }
      await harness.runtime.close();
      const owner = existsSync(join(folder.path, 'owner'))
        ? readFileSync(join(folder.path, 'owner'), 'utf8').trim()
        : '';
      folder.remove();
      const left = await containers(engine, `swarm.owner=${owner}`);
      if (left.length > 0) throw new Error(`containers left: ${left.join(', ')}`);
    },
  };
  return harness;
}

/** Names of the engine's containers with this label, running or not. */
export async function containers(
  engine: TestEngine,
  label: string,
  { running = false } = {},
): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  const found = await engine.api<{ Names: string[] }[]>(
    'GET',
    `/containers/json?all=${running ? 0 : 1}&filters=${filters}`,
  );
  return found.map(({ Names }) => Names[0]!.slice(1));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function removeCgroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  }
  try {
    rmdirSync(path);
  } catch (error) {
    throw new Error(`the cgroup ${path} is still in use`, { cause: error });
  }
}
