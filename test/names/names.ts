import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '@swarm/api';
import { type Say, ChaosScene } from '../chaos/scene.js';
import { Lab, type LabRuntime } from '../lab/index.js';
import { type Meaning, NameJudge, type NameFault, type Sighting } from './judge.js';
import { StoreHistory } from './store-history.js';

export interface NamesOptions {
  readonly name: string;
  readonly runtime: LabRuntime;
  readonly seed: number;
  readonly rounds: number;
  /** Where to copy logs to if there are faults. */
  readonly logs?: string;
  readonly signal: AbortSignal;
  readonly say: Say;
}

export interface NamesReport {
  readonly seed: number;
  readonly tasks: number;
  readonly sightings: number;
  readonly faults: readonly NameFault[];
}

/** Three services, 20 tasks. */
const REPLICAS = { alpha: 8, beta: 7, gamma: 5 } as const;
const FLAGS: Readonly<Record<string, string>> = { gamma: '--endpoint-mode dnsrr' };
const NAMES = ['alpha', 'tasks.alpha', 'first', 'beta', 'tasks.beta', 'gamma'] as const;
const CUT_MS = 30_000;
const OFF_MS = 8_000;
const DAEMON_SEEN_MS = 10_000;
/** Long enough for the judge to compare with the store. */
const CALM_MS = 6_000;

/** Has 20 tasks ask for names while everything happens to them and their nodes, and judges what they saw. */
export async function names(options: NamesOptions): Promise<NamesReport> {
  const { name, runtime } = options;
  const lab = await Lab.up({ name, runtime, managers: 3, workers: 2 });
  let history: StoreHistory | undefined;
  try {
    const scene = await ChaosScene.open(lab, options.seed, options.say);
    const { services, meanings } = await startServices(scene);
    history = new StoreHistory(scene.cluster, services);
    const watching = history.watch();
    await startWatchers(scene);
    await delay(CALM_MS);
    for (let round = 0; round < options.rounds && !options.signal.aborted; round += 1) {
      for (const trouble of scene.prng.shuffle(TROUBLES)) {
        await trouble(scene);
        await delay(CALM_MS);
      }
    }
    history.stop();
    await watching;
    const seen = merged(await scene.read<Sighting>('names-'));
    const { moments } = history;
    const faults = new NameJudge({ meanings, moments, outages: scene.outages }).judge(seen);
    for (const fault of faults) scene.say(`FAULT ${JSON.stringify(fault)}`, fault.sighting.to);
    if (faults.length > 0) await scene.sayWarnings();
    if (faults.length > 0 && options.logs !== undefined)
      await scene.save(options.logs, Object.keys(REPLICAS));
    const tasks = new Set(seen.map(({ task }) => task)).size;
    return { seed: options.seed, tasks, sightings: seen.length, faults };
  } finally {
    history?.stop();
    await lab.down();
  }
}

const TROUBLES: readonly ((scene: ChaosScene) => Promise<void>)[] = [
  async (scene) => {
    scene.say('roll alpha');
    await update(
      scene,
      'alpha',
      '--force',
      '--update-parallelism',
      '2',
      '--update-order',
      'start-first',
    );
  },
  async (scene) => {
    scene.say('scale beta and gamma');
    await update(scene, 'beta', '--replicas', '10');
    await update(scene, 'gamma', '--replicas', '3');
    await scene.cluster.untilRunning('beta', 10);
    await delay(CALM_MS);
    await update(scene, 'beta', '--replicas', String(REPLICAS.beta));
    await update(scene, 'gamma', '--replicas', String(REPLICAS.gamma));
  },
  async (scene) => {
    const tasks = scene.prng.shuffle(await scene.cluster.running('gamma'));
    await scene.killTask(tasks[0]!);
  },
  async (scene) => {
    const leader = await scene.cluster.leader();
    // Its tasks serve, but nobody answers probes: until the next leader has seen its daemon, others may leave them out.
    await scene.outage(leader, 'kill the daemon of the leader,', async () => {
      await leader.killDaemon();
      await leader.startDaemons();
      await delay(DAEMON_SEEN_MS);
    });
  },
  async (scene) => {
    const host = scene.prng.pick(scene.lab.nodes);
    await scene.outage(host, 'power off', async () => {
      await scene.lab.kill(host.name);
      await delay(OFF_MS);
      await scene.lab.start(host.name);
    });
  },
  async (scene) => {
    const host = scene.prng.pick(scene.lab.nodes);
    await scene.outage(host, `cut for ${CUT_MS} ms`, async () => {
      await scene.lab.cut(host.name);
      await delay(CUT_MS);
      await scene.lab.heal(host.name);
    });
  },
];

function update(scene: ChaosScene, service: string, ...flags: string[]): Promise<string> {
  return scene.cluster.manager.must(['swarm', 'service', 'update', '-d', ...flags, service]);
}

/** All names exist before the first task asks. */
async function startServices(
  scene: ChaosScene,
): Promise<{ services: Map<string, string>; meanings: Record<string, Meaning> }> {
  const { cluster } = scene;
  const { manager } = cluster;
  await manager.must('swarm network create -d overlay --subnet 10.91.0.0/24 net'.split(' '));
  const watcher = await scene.runs('../names/watcher.mjs', ...NAMES);
  const services = new Map<string, string>();
  const virtual: Record<string, string> = {};
  for (const name of Object.keys(REPLICAS)) {
    const alias = name === 'alpha' ? ',alias=first' : '';
    await manager.must([
      ...`swarm service create -d --name ${name} --replicas 0 --network name=net${alias}`.split(
        ' ',
      ),
      ...'--restart-delay 500ms --update-monitor 500ms --update-delay 0s'.split(' '),
      ...(FLAGS[name]?.split(' ') ?? []),
      ...['--env', 'TASK={{.Task.ID}}', '--env', 'NODE={{.Node.Hostname}}'],
      ...['--env', `SERVICE=${name}`, '--env', `OUT=${scene.folder}`],
      ...watcher,
    ]);
    const service: Service = await cluster.service(name);
    services.set(service.ID, name);
    virtual[name] = service.Endpoint.VirtualIPs?.[0]?.Addr.split('/')[0] ?? '';
  }
  return {
    services,
    meanings: {
      alpha: { virtual: virtual.alpha! },
      first: { virtual: virtual.alpha! },
      'tasks.alpha': { tasksOf: 'alpha' },
      beta: { virtual: virtual.beta! },
      'tasks.beta': { tasksOf: 'beta' },
      gamma: { tasksOf: 'gamma' },
    },
  };
}

async function startWatchers(scene: ChaosScene): Promise<void> {
  const wanted = Object.entries(REPLICAS);
  for (const [name, count] of wanted) await update(scene, name, '--replicas', String(count));
  for (const [name, count] of wanted) await scene.cluster.untilRunning(name, count);
}

/** One for each stretch: a task writes those that last every second. */
function merged(sightings: readonly Sighting[]): Sighting[] {
  const last = new Map(sightings.map((each) => [`${each.task} ${each.name} ${each.from}`, each]));
  return [...last.values()];
}
