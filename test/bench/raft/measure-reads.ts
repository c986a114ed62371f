import { join } from 'node:path';
import { ReadMode } from '@swarm/raft';
import { median, type Report } from '../report.js';
import type { RaftBenchOptions, Say } from './options.js';
import type { ReadResult } from './read-load.js';
import { Trio } from './trio.js';

const CLIENTS = [1, 256];
const MODES = [ReadMode.Quorum, ReadMode.Lease];
const WARM_UP_MS = 1_000;

/**
 * Measures reads on the leader, asking a quorum and under a lease, in turns: two clusters, no
 * writes.
 */
export async function measureReads(
  { rounds, seconds }: RaftBenchOptions,
  folder: string,
  say: Say,
): Promise<Pick<Report, 'goals' | 'figures' | 'notes'>> {
  const figures: Report['figures'][number][] = [];
  const notes: string[] = [];
  const trios = new Map<ReadMode, Trio>();
  try {
    for (const mode of MODES) {
      trios.set(mode, await Trio.up(join(folder, `reads-${mode}`), { readMode: mode }));
    }
    for (const clients of CLIENTS) {
      const results = new Map<ReadMode, ReadResult[]>(MODES.map((mode) => [mode, []]));
      for (let round = 0; round < rounds; round++) {
        for (const [mode, trio] of trios) {
          const order = { clients, warmUpMs: WARM_UP_MS, durationMs: seconds * 1000 };
          const result = await (await trio.leader()).read(order);
          results.get(mode)!.push(result);
          const { perSecond, p50Ms, failed } = result;
          say(`${mode}, ${clients} clients: ${perSecond.toFixed(0)}/s, p50 ${p50Ms.toFixed(3)} ms`);
          if (failed > 0) notes.push(`${mode}, ${clients} clients: ${failed} reads failed`);
        }
      }
      for (const [mode, all] of results) {
        const of = (pick: (result: ReadResult) => number) => median(all.map(pick));
        const name = `reads, ${mode}, ${clients} clients`;
        figures.push(
          { name: `${name}: rate`, value: of(({ perSecond }) => perSecond), unit: '/s' },
          { name: `${name}: p50`, value: of(({ p50Ms }) => p50Ms), unit: 'ms' },
          { name: `${name}: p99`, value: of(({ p99Ms }) => p99Ms), unit: 'ms' },
        );
      }
    }
  } finally {
    for (const trio of trios.values()) await trio.down();
  }
  return { goals: [], figures, notes };
}
