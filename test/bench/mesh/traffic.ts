import { setTimeout as delay } from 'node:timers/promises';
import { atLeast, type Goal, median } from '../report.js';
import { loadBytes, loadHttp } from './programs.js';
import { TrafficLab, type Way } from './traffic-lab.js';

const MEASURES = ['keep-alive requests/s', 'new connections/s', 'throughput'] as const;
type Measure = (typeof MEASURES)[number];

interface Sample {
  readonly [measure: string]: number;
}

/** A way against another, with the least ratio wanted for each measure. */
const COMPARED: readonly (readonly [
  string,
  string,
  readonly [number, number, number] | undefined,
])[] = [
  ['local', 'direct', [0.95, 0.85, 0.95]],
  ['remote', 'direct', [0.75, 0.75, 0.75]],
  ['tunnel', 'direct', undefined],
  ['remote', 'tunnel', undefined],
  ['vip', 'task direct', [0.95, 0.85, 0.95]],
  ['local', 'haproxy', [1.5, 1.5, 1.5]],
  ['remote', 'haproxy remote', [1.5, 1.5, 1.5]],
  ['userspace', 'userspace direct', [0.45, 0.45, 0.45]],
];

export interface Figures {
  readonly goals: readonly Goal[];
  readonly figures: readonly { name: string; value: number; unit: string }[];
  readonly notes: readonly string[];
}

/** All ways in turns, so that other work on the machine meets each of them. */
export async function measureTraffic(
  say: (text: string) => void,
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<Figures> {
  const lab = await TrafficLab.open();
  const samples = new Map<string, Sample[]>(lab.ways.map(({ name }) => [name, []]));
  let failed = 0;
  try {
    await delay(500);
    for (const way of lab.ways) await measure(way, 'keep-alive requests/s', 1);
    for (let round = 0; round < rounds; round++) {
      say(`traffic, turn ${round + 1} of ${rounds}`);
      const turn = new Map<string, Sample>();
      // What is compared is measured close in time, and in another order each turn.
      for (const kind of MEASURES) {
        for (let i = 0; i < lab.ways.length; i++) {
          const way = lab.ways[(i + round) % lab.ways.length]!;
          turn.set(way.name, { ...turn.get(way.name), ...(await measure(way, kind, seconds)) });
        }
      }
      for (const [name, sample] of turn) {
        samples.get(name)!.push(sample);
        failed += sample['failed, kept']! + sample['failed, new']!;
      }
    }
  } finally {
    await lab.close();
  }
  return report(samples, failed);
}

async function measure(way: Way, kind: Measure, seconds: number): Promise<Sample> {
  const { from, host } = way;
  if (kind === 'throughput') {
    return { [kind]: await loadBytes(from, { host, port: way.bytesPort, seconds }) };
  }
  const isKept = kind === 'keep-alive requests/s';
  const load = await loadHttp(from, { host, port: way.httpPort, seconds, isKept });
  return isKept
    ? { [kind]: load.perSecond, p50: load.p50Ms, p99: load.p99Ms, 'failed, kept': load.failed }
    : { [kind]: load.perSecond, 'failed, new': load.failed };
}

function report(samples: ReadonlyMap<string, readonly Sample[]>, failed: number): Figures {
  const goals: Goal[] = [atMostZero(failed)];
  const figures: { name: string; value: number; unit: string }[] = [];
  const notes: string[] = [];
  const all = (way: string, measure: string) => samples.get(way)!.map((each) => each[measure]!);
  for (const [way, against, wanted] of COMPARED) {
    MEASURES.forEach((measure: Measure, i) => {
      const base = all(against, measure);
      const ratios = all(way, measure).map((value, turn) => value / base[turn]!);
      const name = `${way} / ${against}: ${measure}`;
      const value = median(ratios);
      if (wanted === undefined) figures.push({ name, value, unit: 'ratio' });
      else goals.push(atLeast(name, value, 'ratio', wanted[i]!));
      const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
      notes.push(`${name}: ${range} in ${ratios.length} turns`);
    });
  }
  for (const way of samples.keys()) {
    const units = { throughput: 'Mbit/s', p50: 'ms', p99: 'ms' } as Record<string, string>;
    for (const measure of [...MEASURES, 'p50', 'p99']) {
      const unit = units[measure] ?? '1/s';
      figures.push({ name: `${way}: ${measure}`, value: median(all(way, measure)), unit });
    }
  }
  return { goals, figures, notes };
}

function atMostZero(failed: number): Goal {
  return {
    ...{ name: 'failed requests, all ways', value: failed, unit: '' },
    ...{ goal: '<= 0', met: failed === 0 },
  };
}
