import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { atMost, type Goal, median, type Report } from '../report.js';
import type { Child } from './child.js';
import type { LoadResult } from './load.js';
import type { RaftBenchOptions, Say } from './options.js';
import type { Trio, TrioMember } from './trio.js';

const CLIENTS = 256;
const SLICE_MS = 3000;
/** Compares memory after this share of the entries with memory at the end. */
const WARM_SHARE = 0.25;
const GROWTH_GOAL = 1.1;
const DISK_GOAL_MB = 100;
const P99_GOAL = 2;
const CATCH_UP_DEADLINE_MS = 60_000;
const MB = 1024 * 1024;

interface Sample {
  readonly entries: number;
  readonly rssMb: number;
  readonly diskMb: number;
  readonly p99Ms: number;
}

/**
 * Writes many entries with one member down all the time. Measures memory, disk, and how that member
 * catches up.
 */
export async function measureSoak(
  { entries }: RaftBenchOptions,
  trio: Trio,
  load: Child,
  say: Say,
): Promise<Pick<Report, 'goals' | 'figures' | 'notes'>> {
  const leader = await trio.leader();
  const absent = trio.members.find((member) => member !== leader)!;
  await absent.kill();
  const from = (await leader.state())!.commit;
  const samples: Sample[] = [];
  for (;;) {
    const { p99Ms } = await slice(load, leader);
    const { rssBytes } = await leader.spent();
    const written = (await leader.state())!.commit - from;
    const diskMb = (await folderBytes(leader.start.folder)) / MB;
    samples.push({ entries: written, rssMb: rssBytes / MB, diskMb, p99Ms });
    say(
      `${written} entries: leader ${(rssBytes / MB).toFixed(0)} MB resident, ${diskMb.toFixed(0)} MB on disk, p99 ${p99Ms.toFixed(1)} ms`,
    );
    if (written >= entries) break;
  }
  const usualMs = median(samples.map(({ p99Ms }) => p99Ms));
  const { catchUpMs, duringMs, afterMs } = await catchUp(trio, leader, absent, load);
  const warm = samples.find((sample) => sample.entries >= entries * WARM_SHARE)!;
  const last = samples.at(-1)!;
  const goals: Goal[] = [
    atMost(
      `leader's memory after ${last.entries} entries / after ${warm.entries}`,
      last.rssMb / warm.rssMb,
      'ratio',
      GROWTH_GOAL,
    ),
    atMost(
      'disk of the leader, largest',
      Math.max(...samples.map(({ diskMb }) => diskMb)),
      'MB',
      DISK_GOAL_MB,
    ),
    atMost(
      "leader's p99 while the absent member catches up / before",
      duringMs / usualMs,
      'ratio',
      P99_GOAL,
    ),
  ];
  return {
    goals,
    figures: [
      { name: 'leader resident at the end', value: last.rssMb, unit: 'MB' },
      {
        name: 'leader resident, largest',
        value: Math.max(...samples.map(({ rssMb }) => rssMb)),
        unit: 'MB',
      },
      { name: 'the absent member caught up by snapshot in', value: catchUpMs / 1000, unit: 's' },
      { name: 'p99 with one member absent', value: usualMs, unit: 'ms' },
      { name: 'p99 while it catches up', value: duringMs, unit: 'ms' },
      { name: 'p99 afterwards, three members', value: afterMs, unit: 'ms' },
    ],
    notes: [],
  };
}

async function catchUp(
  trio: Trio,
  leader: TrioMember,
  absent: TrioMember,
  load: Child,
): Promise<{ catchUpMs: number; duringMs: number; afterMs: number }> {
  // Loading the program takes a processor for a while, which is not what this measures.
  const takePart = await absent.load();
  const target = (await leader.state())!;
  const slices: Promise<LoadResult> = slice(load, leader);
  const begin = performance.now();
  await takePart();
  for (;;) {
    const state = await absent.state();
    if (state !== undefined && state.applied >= target.commit) break;
    if (performance.now() - begin > CATCH_UP_DEADLINE_MS) {
      throw new Error('the absent member did not catch up');
    }
    await sleep(10);
  }
  const catchUpMs = performance.now() - begin;
  const state = (await absent.state())!;
  // A log that reaches back to the beginning would mean that it got entries, not the state.
  if (state.firstIndex === 1) throw new Error('the absent member caught up without a snapshot');
  const during = await slices;
  const after = await slice(load, leader);
  await trio.settled();
  return { catchUpMs, duringMs: during.p99Ms, afterMs: after.p99Ms };
}

function slice(load: Child, { clientPort }: TrioMember): Promise<LoadResult> {
  const order = { system: 'ours', port: clientPort, clients: CLIENTS, warmUpMs: 0 };
  return load.call<LoadResult>('run', { ...order, durationMs: SLICE_MS });
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    // LevelDB deletes files meanwhile.
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.isFile()) bytes += found.blocks * 512;
  }
  return bytes;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
