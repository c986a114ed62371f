import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './raft/child.js';
import { EtcdTrio } from './raft/etcd-trio.js';
import { measureLoads } from './raft/measure-loads.js';
import { measureReads } from './raft/measure-reads.js';
import { measureSoak } from './raft/measure-soak.js';
import { measureTakeover } from './raft/measure-takeover.js';
import { DEFAULT_RAFT_OPTIONS, type RaftBenchOptions, type Say } from './raft/options.js';
import { Trio } from './raft/trio.js';
import type { Report } from './report.js';

/** Measures three members, as processes on loopback, against etcd and against the clock. */
export async function benchRaft(
  say: Say,
  options: RaftBenchOptions = DEFAULT_RAFT_OPTIONS,
): Promise<Report> {
  const goals: Report['goals'][number][] = [];
  const figures: Report['figures'][number][] = [];
  const notes: string[] = [];
  const add = (part: Pick<Report, 'goals' | 'figures' | 'notes'>): void => {
    goals.push(...part.goals);
    figures.push(...part.figures);
    notes.push(...part.notes);
  };
  // Other load on the machine changes the figures: three members and the load need five processors.
  const busy = loadavg()[0]!;
  notes.push(`${availableParallelism()} processors, load average ${busy.toFixed(1)} at the start`);
  const folder = await mkdtemp(join(tmpdir(), 'bench-raft-'));
  const load = new Child('load.js');
  let trio: Trio | undefined;
  let etcd: EtcdTrio | undefined;
  try {
    trio = await Trio.up(join(folder, 'ours'));
    if (options.parts.includes('loads')) {
      etcd = await EtcdTrio.up(join(folder, 'etcd')).catch((error: unknown) => {
        notes.push(`no comparison with etcd (install etcd-server): ${String(error)}`);
        return undefined;
      });
      add(await measureLoads(options, trio, etcd, load, say));
      await etcd?.down();
      etcd = undefined;
    }
    if (options.parts.includes('reads')) add(await measureReads(options, folder, say));
    if (options.parts.includes('takeover')) add(await measureTakeover(options, trio, say));
    if (options.parts.includes('soak')) add(await measureSoak(options, trio, load, say));
    return { bench: 'raft', goals, figures, notes };
  } finally {
    await etcd?.down();
    await trio?.down();
    await load.kill();
    await rm(folder, { recursive: true, force: true });
  }
}
