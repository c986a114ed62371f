import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PROGRAM, type Program, type Service } from '@swarm/api';
import test from 'ava';
import { failuresOf, alive, buildProgram, Cluster, type Host, Lab, until } from '../lab/index.js';

/** A cluster of the version before becomes one of this version, node by node, while it works. */
const PORT = 8080;
const REPLICAS = 6;
const WRITE_EVERY_MS = 50;
const HEARTBEAT = '5s';
const { Protocol, FeatureLevel } = PROGRAM;
const LEVEL = FeatureLevel.Newest;

const VERSIONS = {
  before: {
    Version: '0.0.1',
    Protocol: { Oldest: Protocol.Oldest, Newest: Protocol.Newest - 1 },
    FeatureLevel: { Oldest: FeatureLevel.Oldest, Newest: LEVEL - 1 },
  },
  after: { ...PROGRAM, Version: '0.0.2' },
  /** Two versions on: it has no protocol in common with this one. */
  far: {
    Version: '0.0.4',
    Protocol: { Oldest: Protocol.Newest + 1, Newest: Protocol.Newest + 2 },
    FeatureLevel: { Oldest: LEVEL + 1, Newest: LEVEL + 2 },
  },
} as const satisfies Record<string, Program>;
type Version = keyof typeof VERSIONS;

interface LevelInfo {
  readonly Current: number;
  readonly WaitsFor: readonly { readonly Hostname: string }[];
}

let folder: string;
const programs = new Map<Version, string>();
let lab: Lab | undefined;
let cluster: Cluster;

test.before(async (t) => {
  t.timeout(120_000);
  folder = await mkdtemp(join(tmpdir(), 'swarm-upgrade-'));
  await chmod(folder, 0o755);
  for (const version of Object.keys(VERSIONS) as Version[]) {
    programs.set(version, await buildProgram(join(folder, version), VERSIONS[version]));
  }
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
  await rm(folder, { recursive: true, force: true });
});

for (const order of ['managers', 'workers'] as const) {
  test.serial(`${order} first: nobody notices the upgrade of a cluster`, async (t) => {
    t.timeout(240_000);
    await lab?.down();
    lab = undefined;
    const program = programs.get('before')!;
    lab = await Lab.up({ name: 'upgrade', managers: 3, workers: 2, clients: 1, program });
    cluster = new Cluster(lab);
    // A daemon is away for two seconds here: its node must not count as down (docs/upgrades.md).
    await cluster.manager.must(['swarm', 'update', '--dispatcher-heartbeat', HEARTBEAT]);
    await cluster.createWeb('web', { replicas: REPLICAS, publish: `${PORT}:80` });
    await cluster.untilRunning('web', REPLICAS);
    const tasks = await taskIds();
    const processes = await webProcesses();
    t.is(processes.length, REPLICAS);
    t.deepEqual(await level(), { Current: LEVEL - 1, WaitsFor: [] });
    const load = cluster.load(lab.host('c1'), { port: PORT, pauseMs: 10, concurrency: 2 });
    const writer = new UpgradeWriter();

    const { managers, workers } = lab;
    const hosts = order === 'managers' ? [...managers, ...workers] : [...workers, ...managers];
    for (const host of hosts) {
      await writer.avoid(host);
      t.log(`${host.name}: away for ${await replace(host, 'after')} ms`);
      const waiting = managers.filter((each) => each.state.program === program);
      t.deepEqual(await webProcesses(), processes, `the same processes after ${host.name}`);
      if (waiting.length === 0) {
        await until('the level rises', async () => (await level()).Current === LEVEL);
        continue;
      }
      const { Current, WaitsFor } = await level();
      t.is(Current, LEVEL - 1, `after ${host.name}`);
      if (waiting.length === managers.length) continue;
      const names = WaitsFor.map(({ Hostname }) => Hostname).sort();
      t.deepEqual(
        names,
        waiting.map(({ name }) => name),
      );
    }
    const { written, refused } = await writer.stop();
    const seen = await load.stop();
    t.log(`${seen.requests} requests, ${written.length} writes`);
    t.true(seen.requests > 100, `only ${seen.requests} requests`);
    t.is(seen.failures, 0, failuresOf(seen));
    t.true(written.length > 20, `only ${written.length} writes`);
    t.deepEqual(refused, [], 'every write succeeds, at its first try');
    t.deepEqual(await taskIds(), tasks, 'the same tasks');
    for (const host of managers) {
      const services = await cluster.get<Service[]>('/services', host);
      const names = services.map(({ Spec }) => Spec.Name).filter((name) => name !== 'web');
      t.deepEqual(names.sort(), [...written].sort(), `all writes are on ${host.name}`);
    }
    await until('all nodes speak the newest protocol, and the state says so', async () =>
      (await cluster.nodes()).every(({ Status }) => Status.Protocol === Protocol.Newest),
    );
    t.like((await workers[0]!.api('GET', '/info')).json, {
      Swarm: { FeatureLevel: { Current: LEVEL } },
    });
    const shown = await managers[0]!.must(['swarm', 'info']);
    t.true(shown.includes(`Feature level: ${LEVEL} (all managers can ${LEVEL})`), shown);
  });
}

test.serial('a manager that is started with the version before stops and says why', async (t) => {
  t.timeout(60_000);
  const host = lab!.host('m3');
  await endDaemon(host);
  host.state.program = programs.get('before')!;
  const { code, stdout, stderr } = await host.exec(host.daemonCommand());
  t.is(code, 1);
  t.regex(
    stdout + stderr,
    new RegExp(
      `the daemon stops: the cluster is at feature level ${LEVEL}, and this node runs swarm 0\\.0\\.1, ` +
        `which understands levels up to ${LEVEL - 1}: upgrade this node first`,
    ),
  );
  await replace(host, 'after', { isRunning: false });
});

test.serial('a node whose version does not fit is refused when it joins', async (t) => {
  t.timeout(60_000);
  const host = lab!.host('w2');
  const [manager] = lab!.managers;
  await host.must(['swarm', 'leave']);
  const nodes = (await cluster.nodes()).length;
  const join = async (version: Version, role: string) => {
    await endDaemon(host);
    host.state.program = programs.get(version)!;
    await host.startDaemons();
    const token = (await manager!.must(['swarm', 'join-token', '-q', role])).trim();
    // On a busy machine the leader may change meanwhile, which is not what is looked at here.
    return until('an answer of a leader', async () => {
      const answer = await host.exec([
        'swarm',
        'join',
        '--token',
        token,
        `${manager!.address}:2377`,
      ]);
      return /lead/.test(answer.stderr) && !/upgrade/.test(answer.stderr) ? undefined : answer;
    });
  };
  const old = await join('before', 'manager');
  t.not(old.code, 0);
  t.regex(old.stderr, /the cluster is at feature level \d+, .* upgrade the joining node first/);
  const far = await join('far', 'worker');
  t.not(far.code, 0);
  t.regex(far.stderr, /speaks protocols 3 to 4, .*protocols 1 to 2: upgrade the manager .* first/);
  t.is((await cluster.nodes()).length, nodes, 'nothing is left of either');
  const worker = await join('before', 'worker');
  t.is(worker.code, 0, worker.stderr);
});

/** Writes through the managers in turn, except one that is being replaced. Repeats nothing. */
class UpgradeWriter {
  readonly #written: string[] = [];
  readonly #refused: string[] = [];
  readonly #ended: Promise<void>;
  #avoided: Host | undefined;
  #turn = 0;
  #stopping = false;
  #writing: Promise<void> = Promise.resolve();

  constructor() {
    this.#ended = this.#run();
  }

  /** Resolves when nothing that was asked of this host is under way. */
  async avoid(host: Host): Promise<void> {
    this.#avoided = host;
    await this.#writing;
  }

  async stop() {
    this.#stopping = true;
    await this.#ended;
    return { written: this.#written, refused: this.#refused };
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#writing = this.#write();
      await this.#writing;
      await delay(WRITE_EVERY_MS);
    }
  }

  async #write(): Promise<void> {
    const hosts = lab!.managers.filter((host) => host !== this.#avoided);
    const host = hosts[this.#turn % hosts.length]!;
    const name = `written-${this.#turn}`;
    this.#turn += 1;
    try {
      const reply = await create(host, name);
      if (reply.status === 201) this.#written.push(name);
      else this.#refused.push(`${name} on ${host.name}: ${reply.status} ${reply.text}`);
    } catch (error) {
      this.#refused.push(`${name} on ${host.name}: ${(error as Error).message}`);
    }
  }
}

function create(host: Host, name: string) {
  return host.api('POST', '/services/create', {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['sleep', '1000'] } },
    Mode: { Replicated: { Replicas: 0 } },
  });
}

/**
 * Ends the daemon of a host and starts another version on what it left.
 * @returns milliseconds without a daemon that answers
 */
async function replace(host: Host, version: Version, { isRunning = true } = {}): Promise<string> {
  const endedAt = performance.now();
  if (isRunning) await endDaemon(host);
  const between = performance.now();
  host.state.program = programs.get(version)!;
  await host.startDaemons();
  const awayMs = `${(between - endedAt).toFixed(0)} + ${(performance.now() - between).toFixed(0)}`;
  const { Version } = VERSIONS[version];
  await until(`${host.name} is ready with version ${Version}`, async () => {
    const nodes = await cluster.nodes(otherThan(host));
    const node = nodes.find(({ Description }) => Description?.Hostname === host.name);
    const areReady = nodes.every(({ Status }) => Status.State === 'ready');
    return areReady && node?.Description?.Program?.Version === Version;
  });
  if (host.state.role !== 'manager') return awayMs;
  await until(`${host.name} answers as a manager`, async () => {
    const nodes = await cluster.nodes(host);
    return nodes.every(({ ManagerStatus }) => ManagerStatus?.Reachability !== 'unreachable');
  });
  return awayMs;
}

function otherThan(host: Host): Host {
  return lab!.managers.find((each) => each !== host)!;
}

async function endDaemon(host: Host): Promise<void> {
  const pid = host.state.daemonPid!;
  process.kill(pid, 'SIGTERM');
  await until(`the daemon of ${host.name} ended`, () => !alive(pid), { everyMs: 10 });
}

async function level(): Promise<LevelInfo> {
  const { Swarm } = await cluster.get<{ Swarm: { FeatureLevel: LevelInfo } }>('/info');
  const { Current, WaitsFor } = Swarm.FeatureLevel;
  return { Current, WaitsFor };
}

async function taskIds(): Promise<string[]> {
  return (await cluster.running('web')).map(({ ID }) => ID).sort();
}

/** Host and process id of each web server. */
async function webProcesses(): Promise<string[]> {
  const lists = await Promise.all(
    lab!.nodes.map(async (host) => {
      const out = await host.must(['ps', '-eo', 'pid,comm,args']);
      const lines = out.split('\n').filter((line) => /^\s*\d+ node\s.*web-server\.js/.test(line));
      return lines.map((line) => `${host.name} ${Number.parseInt(line, 10)}`).sort();
    }),
  );
  return lists.flat();
}
