import { atLeast, atMost, type Goal, median, type Report } from '../report.js';
import type { Child } from './child.js';
import type { EtcdTrio } from './etcd-trio.js';
import type { LoadOrder, LoadResult } from './load.js';
import type { RaftBenchOptions, Say } from './options.js';
import { describeSpent } from './describe-spent.js';
import type { Spent } from './probes.js';
import type { Trio } from './trio.js';

const CLIENTS = [1, 32, 256, 1000] as const;
const WARM_UP_MS = 1000;
const RATE_GOAL = 5;

type Part = Pick<Report, 'goals' | 'figures' | 'notes'>;

interface Round {
  readonly ours: LoadResult;
  readonly etcd: LoadResult | undefined;
  readonly spent: Spent;
}

/**
 * Puts the same load on both systems in turn. Takes ratios within a round, because the machine is
 * noisy.
 */
export async function measureLoads(
  { rounds, seconds }: RaftBenchOptions,
  trio: Trio,
  etcd: EtcdTrio | undefined,
  load: Child,
  say: Say,
): Promise<Part> {
  const goals: Goal[] = [];
  const figures: Report['figures'][number][] = [];
  const notes: string[] = [];
  // Our code is compiled after enough runs; etcd's was compiled before it started.
  const warmUp = { clients: 32, warmUpMs: 0, durationMs: WARM_UP_MS };
  await run(load, { ...warmUp, system: 'ours', port: (await trio.leader()).clientPort });
  if (etcd) await run(load, { ...warmUp, system: 'etcd', port: await etcd.leaderPort() });
  for (const clients of CLIENTS) {
    const all: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      const durationMs = seconds * 1000;
      const order = { clients, warmUpMs: WARM_UP_MS, durationMs };
      const leader = await trio.leader();
      await leader.spent();
      const ours = await run(load, { ...order, system: 'ours', port: leader.clientPort });
      const spent = await leader.spent();
      await trio.settled();
      const theirs =
        etcd && (await run(load, { ...order, system: 'etcd', port: await etcd.leaderPort() }));
      all.push({ ours, etcd: theirs, spent });
      say(
        `${clients} clients: ours ${describe(ours)}${theirs ? `; etcd ${describe(theirs)}` : ''}`,
      );
    }
    const of = (pick: (round: Round) => number) => median(all.map(pick));
    const name = `${clients} client${clients === 1 ? '' : 's'}`;
    const figure = (what: string, unit: string, pick: (round: Round) => number) =>
      figures.push({ name: `${name}, ${what}`, unit, value: of(pick) });
    figure('ours', 'commits/s', ({ ours }) => ours.perSecond);
    figure('ours p50', 'ms', ({ ours }) => ours.p50Ms);
    figure('ours p99', 'ms', ({ ours }) => ours.p99Ms);
    notes.push(`${name}, our leader: ${describeSpent(all.at(-1)!.spent)}`);
    if (etcd === undefined) continue;
    figure('etcd', 'commits/s', (round) => round.etcd!.perSecond);
    figure('etcd p50', 'ms', (round) => round.etcd!.p50Ms);
    figure('etcd p99', 'ms', (round) => round.etcd!.p99Ms);
    figure('load on etcd', 'processors', (round) => round.etcd!.cpu);
    const rate = of((round) => round.ours.perSecond / round.etcd!.perSecond);
    if (clients >= 256) goals.push(atLeast(`${name}, rate / etcd`, rate, 'ratio', RATE_GOAL));
    else figures.push({ name: `${name}, rate / etcd`, value: rate, unit: 'ratio' });
    const p50 = of((round) => round.ours.p50Ms / round.etcd!.p50Ms);
    if (clients === 1) goals.push(atMost(`${name}, p50 / etcd`, p50, 'ratio', 1));
    const p99 = of((round) => round.ours.p99Ms / round.etcd!.p99Ms);
    if (clients === 1000) goals.push(atMost(`${name}, p99 / etcd`, p99, 'ratio', 1));
  }
  return { goals, figures, notes };
}

async function run(load: Child, order: LoadOrder): Promise<LoadResult> {
  const result = await load.call<LoadResult>('run', order);
  // Refused writes would leave a rate of the others only.
  if (result.failed > 0) throw new Error(`${order.system}: ${result.failed} writes failed`);
  return result;
}

function describe({ perSecond, p50Ms, p99Ms, cpu }: LoadResult): string {
  return `${perSecond.toFixed(0)}/s p50 ${p50Ms.toFixed(2)} p99 ${p99Ms.toFixed(2)} ms (load ${cpu.toFixed(2)} cpu)`;
}
