import { setTimeout as delay } from 'node:timers/promises';
import { Lab, type LabRuntime } from '../lab/index.js';
import { ACTIONS, type Action, SERVICES } from './actions.js';
import { ChaosJudge, totals, type Verdict } from './judge.js';
import type { Counts, Failure, ServerNote } from './record.js';
import { type Say, ChaosScene } from './scene.js';

export interface ChaosOptions {
  readonly name: string;
  readonly runtime: LabRuntime;
  readonly seed: number;
  readonly seconds: number;
  readonly halfMs: number;
  /** Where to copy logs to. */
  readonly logs?: string;
  readonly signal: AbortSignal;
  readonly say: Say;
}

export interface ChaosReport extends Verdict {
  readonly seed: number;
  /** What went well, by kind. */
  readonly done: Readonly<Record<string, number>>;
  /** By kind. */
  readonly actions: Readonly<Record<string, number>>;
}

const REPLICAS = 5;
const PORTS = { web: 8080, lines: 8081, udp: 8082 } as const;
const BETWEEN_MS = [500, 6_000] as const;
/** After the last action: what fails late is seen, too. */
const CALM_MS = 16_000;

/** Breaks a cluster of five nodes in every way, under every kind of traffic, and judges what failed. */
export async function chaos(options: ChaosOptions): Promise<ChaosReport> {
  const { name, runtime } = options;
  const lab = await Lab.up({ name, runtime, managers: 3, workers: 2, clients: 1 });
  try {
    const scene = await ChaosScene.open(lab, options.seed, options.say);
    await startServices(scene, options);
    await startClient(scene, options);
    const actions: Record<string, number> = {};
    const until = Date.now() + options.seconds * 1000;
    while (Date.now() < until && !options.signal.aborted) {
      const action = draw(scene);
      actions[action.kind] = (actions[action.kind] ?? 0) + 1;
      await action.run(scene);
      for (const service of SERVICES) await scene.sayPlaces(service);
      await delay(scene.prng.between(...BETWEEN_MS));
    }
    await delay(CALM_MS);
    for (const service of SERVICES) await untilWhole(scene, service);
    const report = { seed: options.seed, actions, ...(await judged(scene)) };
    if (report.faults.length > 0) await scene.sayWarnings();
    if (options.logs !== undefined) await scene.save(options.logs, SERVICES);
    return report;
  } finally {
    await lab.down();
  }
}

/** @throws when the cluster does not run all of a service's tasks again */
async function untilWhole({ cluster }: ChaosScene, service: string): Promise<void> {
  const { Mode } = (await cluster.service(service)).Spec;
  await cluster.untilRunning(service, Mode.Replicated?.Replicas ?? 0);
}

function draw({ prng }: ChaosScene): Action {
  let at = prng.below(ACTIONS.reduce((sum, { weight }) => sum + weight, 0));
  return ACTIONS.find(({ weight }) => {
    at -= weight;
    return at < 0;
  })!;
}

async function startServices(scene: ChaosScene, { halfMs }: ChaosOptions): Promise<void> {
  const { cluster } = scene;
  const create = (name: string, flags: string, ...command: string[]): Promise<string> =>
    cluster.manager.must([
      ...`swarm service create -d --name ${name} --network net`.split(' '),
      ...flags.split(' '),
      ...['--env', 'TASK={{.Task.ID}}', '--env', 'NODE={{.Node.Hostname}}'],
      ...['--env', `OUT=${scene.folder}`, ...command],
    ]);
  await cluster.manager.must(
    'swarm network create -d overlay --subnet 10.90.0.0/24 net'.split(' '),
  );
  const tuned = `--replicas ${REPLICAS} --restart-delay 500ms --update-monitor 500ms --update-delay 0s`;
  const server = await scene.runs('server.mjs');
  await create('web', `${tuned} --publish ${PORTS.web}:80`, ...server);
  await create(
    'hold',
    `${tuned} --publish ${PORTS.lines}:81 --publish ${PORTS.udp}:82/udp`,
    ...server,
  );
  for (const name of SERVICES) await cluster.untilRunning(name, REPLICAS);
  await create(
    'caller',
    '--mode global --restart-delay 500ms',
    ...(await scene.runs('client.mjs', '--entries', 'web/hold', '--half-ms', String(halfMs))),
  );
  await cluster.untilRunning('caller', scene.lab.nodes.length);
}

/** It ends with its host. */
async function startClient(scene: ChaosScene, { halfMs }: ChaosOptions): Promise<void> {
  const entries = scene.lab.nodes.map(({ address }) => address).join();
  const child = scene.lab
    .host('c1')
    .spawn([
      ...['env', 'NODE=outside', 'TASK=outside', `OUT=${scene.folder}`, process.execPath],
      await scene.program('client.mjs'),
      ...['--entries', entries, '--half-ms', String(halfMs)],
      ...Object.entries(PORTS).flatMap(([name, port]) => [`--${name}`, String(port)]),
    ]);
  child.stderr!.pipe(process.stderr);
}

async function judged(scene: ChaosScene): Promise<Verdict & Pick<ChaosReport, 'done'>> {
  const lines = await scene.read<Failure | Counts>('client-');
  const nodeOf = Object.fromEntries(
    scene.lab.nodes.flatMap(({ name, address }) => [
      [name, name],
      [address, name],
    ]),
  );
  const servers = await scene.read<ServerNote>('server-');
  const judge = new ChaosJudge({ servers, deaths: scene.deaths, outages: scene.outages, nodeOf });
  const failures = lines.filter((line): line is Failure => 'error' in line);
  const counts = lines.filter((line): line is Counts => 'counts' in line);
  const verdict = judge.judge(failures);
  for (const fault of verdict.faults) scene.say(`FAULT ${JSON.stringify(fault)}`, fault.end);
  return { ...verdict, done: totals(counts) };
}
