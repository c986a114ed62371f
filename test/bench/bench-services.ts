import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SWARM_BIN } from '../lab/paths.js';
import { atLeast, type Goal, median, type Report } from './report.js';
import { ManagerProcess } from './services/manager-process.js';

export interface ServicesBenchOptions {
  /** How many services the full cluster has. */
  readonly services: number;
  readonly rounds: number;
  /** The `swarm` command to measure: another version's, to compare. */
  readonly program: string;
  /** Where each manager leaves a profile of its processor time. */
  readonly profile?: string;
}

export const DEFAULT_SERVICES_OPTIONS: ServicesBenchOptions = {
  services: 5000,
  rounds: 5,
  program: SWARM_BIN,
};

const RATIO_GOAL = 0.9;
const RATE_GOAL = 1000;
/** Closed loops, and how many services they make in one turn. */
const LOADS = [
  { clients: 1, services: 200 },
  { clients: 64, services: 1280 },
] as const;

/** What one turn of a load took. */
interface Turn {
  readonly perSecond: number;
  readonly processorMs: number;
}

/**
 * How fast services without replicas are made over the local API: in a cluster without services and in one
 * with many, in turns, so that other work on the machine meets both. Each turn removes what it made.
 */
export async function benchServices(
  say: (text: string) => void,
  options: ServicesBenchOptions = DEFAULT_SERVICES_OPTIONS,
): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-services-'));
  const managers: ManagerProcess[] = [];
  const notes = [
    `${availableParallelism()} processors, load average ${loadavg()[0]!.toFixed(1)} at the start`,
  ];
  const up = async (name: string, address: string) => {
    const { program, profile } = options;
    const flags =
      profile === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}.cpuprofile`];
    const manager = await ManagerProcess.up({
      program,
      folder: join(folder, name),
      address,
      flags,
    });
    managers.push(manager);
    return manager;
  };
  try {
    const empty = await up('empty', '127.0.77.101');
    const full = await up('full', '127.0.77.102');
    // Both do the same first, so that both run compiled code over as large a database.
    say(`filling two clusters with ${options.services} services, and emptying one`);
    await make(empty, 'filler', options.services, 64);
    const filled = await make(full, 'filler', options.services, 64);
    await remove(empty, 'filler', options.services, 64);
    notes.push(
      `filling from 0 to ${options.services} with 64 clients: ${filled.perSecond.toFixed(0)}/s`,
    );
    const goals: Goal[] = [];
    const figures: Report['figures'][number][] = [];
    for (const { clients, services } of LOADS) {
      const few: Turn[] = [];
      const many: Turn[] = [];
      for (let round = 1; round <= options.rounds; round += 1) {
        say(`${clients} clients, round ${round}`);
        few.push(await turn(empty, services, clients));
        many.push(await turn(full, services, clients));
      }
      const rate = median(many.map(({ perSecond }) => perSecond));
      const ratios = many.map(({ perSecond }, round) => perSecond / few[round]!.perSecond);
      const at = `with ${options.services} services`;
      goals.push(
        atLeast(`${clients} clients: rate ${at} / with none`, median(ratios), '', RATIO_GOAL),
      );
      const name = `${clients} clients: services made a second ${at}`;
      if (clients === 1) figures.push({ name, value: rate, unit: '/s' });
      else goals.push(atLeast(name, rate, '/s', RATE_GOAL));
      figures.push(
        {
          name: `${clients} clients: with none`,
          value: median(few.map(({ perSecond }) => perSecond)),
          unit: '/s',
        },
        {
          name: `${clients} clients: processor time for one ${at}`,
          value: median(many.map(({ processorMs }) => processorMs)),
          unit: 'ms',
        },
        {
          name: `${clients} clients: with none`,
          value: median(few.map(({ processorMs }) => processorMs)),
          unit: 'ms',
        },
      );
    }
    return { bench: 'services', goals, figures, notes };
  } finally {
    await Promise.all(managers.map((manager) => manager.down()));
    await rm(folder, { recursive: true, force: true });
  }
}

let turns = 0;

async function turn(manager: ManagerProcess, services: number, clients: number): Promise<Turn> {
  turns += 1;
  const prefix = `turn-${turns}`;
  const made = await make(manager, prefix, services, clients);
  await remove(manager, prefix, services, clients);
  return made;
}

function remove(
  manager: ManagerProcess,
  prefix: string,
  services: number,
  clients: number,
): Promise<void> {
  return each(services, clients, async (at) => {
    const { status, text } = await manager.call('DELETE', `/services/${prefix}-${at}`);
    if (status !== 200) throw new Error(`remove: ${status} ${text}`);
  });
}

async function make(
  manager: ManagerProcess,
  prefix: string,
  services: number,
  clients: number,
): Promise<Turn> {
  const usedBefore = await manager.processorSeconds();
  const begin = performance.now();
  await each(services, clients, async (at) => {
    const { status, text } = await manager.call('POST', '/services/create', {
      Name: `${prefix}-${at}`,
      TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['true'] } },
      Mode: { Replicated: { Replicas: 0 } },
    });
    if (status !== 201) throw new Error(`create: ${status} ${text}`);
  });
  const seconds = (performance.now() - begin) / 1000;
  const used = (await manager.processorSeconds()) - usedBefore;
  return { perSecond: services / seconds, processorMs: (used * 1000) / services };
}

/** Runs `work` for 0 to `count` - 1, in this many closed loops. */
async function each(
  count: number,
  clients: number,
  work: (at: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const loop = async () => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: clients }, loop));
}
