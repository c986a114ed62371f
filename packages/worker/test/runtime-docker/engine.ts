import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
} from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { silentLogger, systemClock } from '@swarm/api';
import {
  DockerRuntime,
  type DockerRuntimeOptions,
} from '../../src/runtime/docker/docker-runtime.js';
import { engineAnswers } from '../../src/runtime/docker/engine-client.js';
import type { RuntimeHarness } from '../contract/runtime-contract.js';
import { makeFolder, until } from '../support/real.js';

const START_DEADLINE_MS = 30_000;
const APPLETS = ['sh', 'sleep', 'cat', 'echo', 'env', 'hostname', 'ls', 'ip', 'test', 'kill', 'id'];
/** Its registry is a port of this machine that nobody listens on: no pull leaves it. */
export const TEST_IMAGE = '127.0.0.1:1/swarm-test/box:1';

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
      { stdio: ['ignore', log, log] },
    );
    this.#daemon = daemon;
    process.once('exit', this.#onExit);
    await until(
      'the engine answers',
      async () => {
        if (daemon.exitCode !== null) throw new Error(`dockerd ended:\n${this.log}`);
        return engineAnswers(this.socketPath);
      },
      START_DEADLINE_MS,
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
    await until(
      'the engine ended',
      () => daemon.exitCode !== null || daemon.signalCode !== null,
      START_DEADLINE_MS,
    );
    process.off('exit', this.#onExit);
    this.#daemon = undefined;
  }

  /** Gives it an image with a shell, made from this machine's static busybox. */
  async importImage(name: string = TEST_IMAGE, changes: readonly string[] = []): Promise<void> {
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
    const query = new URLSearchParams({ fromSrc: '-', repo, tag });
    for (const change of ['ENV PATH=/bin', ...changes]) query.append('changes', change);
    await this.api('POST', `/images/create?${query.toString()}`, archive);
  }

  /** One request to the engine, apart from the client under test. */
  api<T>(method: string, path: string, body?: Buffer): Promise<T> {
    return new Promise((resolve, reject) => {
      const call = request(
        { socketPath: this.socketPath, method, path: `/v1.41${path}`, agent: false },
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
}

/** A runtime on this engine with a mark of its own, whose leftovers fail the test. */
export function openDockerRuntime(
  engine: TestEngine,
  change: Partial<DockerRuntimeOptions> = {},
): RuntimeHarness & { runtime: DockerRuntime; reopen(): Promise<DockerRuntime> } {
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
    async reopen() {
      await harness.runtime.close();
      harness.runtime = open();
      return harness.runtime;
    },
    async close() {
      for (const { taskId } of await harness.runtime.list()) await harness.runtime.remove(taskId);
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
export async function containers(engine: TestEngine, label: string): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  const found = await engine.api<{ Names: string[] }[]>(
    'GET',
    `/containers/json?all=1&filters=${filters}`,
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
