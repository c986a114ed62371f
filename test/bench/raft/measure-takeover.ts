import { atMost, median, type Report } from '../report.js';
import type { RaftBenchOptions, Say } from './options.js';
import { Prober } from './prober.js';
import type { Trio, TrioMember } from './trio.js';

const KILL_GOAL_S = 1.5;
const TRANSFER_GOAL_MS = 100;
/** Long enough for members to have heard the leader's heartbeats again. */
const CALM_MS = 500;
const DEADLINE_MS = 20_000;

/**
 * Measures how long nobody accepts writes: after a leader's SIGKILL, and during a handover of
 * leadership.
 */
export async function measureTakeover(
  { takeovers }: RaftBenchOptions,
  trio: Trio,
  say: Say,
): Promise<Pick<Report, 'goals' | 'figures' | 'notes'>> {
  const kills: number[] = [];
  const transfers: number[] = [];
  for (let run = 0; run < takeovers; run++) {
    transfers.push(await timeTransfer(trio));
    kills.push(await timeKill(trio));
  }
  say(`kills ${kills.map((ms) => ms.toFixed(0)).join(' ')} ms`);
  say(`transfers ${transfers.map((ms) => ms.toFixed(0)).join(' ')} ms`);
  return {
    goals: [
      atMost(
        `leader SIGKILL to first commit elsewhere (median of ${takeovers})`,
        median(kills) / 1000,
        's',
        KILL_GOAL_S,
      ),
      atMost(
        `no writes during a transfer (median of ${takeovers})`,
        median(transfers),
        'ms',
        TRANSFER_GOAL_MS,
      ),
    ],
    figures: [
      { name: 'leader SIGKILL, slowest', value: Math.max(...kills) / 1000, unit: 's' },
      { name: 'transfer, slowest', value: Math.max(...transfers), unit: 'ms' },
    ],
    notes: [],
  };
}

async function timeKill(trio: Trio): Promise<number> {
  const leader = await trio.leader();
  await sleep(CALM_MS);
  const probers = probe(trio.members.filter((member) => member !== leader));
  try {
    const begin = performance.now();
    await leader.kill();
    const first = await firstAfter(probers, begin);
    return first - begin;
  } finally {
    await Promise.all(probers.map((prober) => prober.stop()));
    await leader.run();
    await trio.settled();
  }
}

/** The longest gap between two commits of any leader, around a transfer. */
async function timeTransfer(trio: Trio): Promise<number> {
  const leader = await trio.leader();
  const probers = probe(trio.members);
  try {
    await sleep(CALM_MS);
    const begin = performance.now();
    await leader.transfer();
    const done = performance.now();
    await firstAfter(probers, done);
    const commits = probers.flatMap((prober) => prober.doneMs).sort((a, b) => a - b);
    let longest = 0;
    for (const [i, at] of commits.entries()) {
      const before = commits[i - 1];
      if (before !== undefined && at >= begin) longest = Math.max(longest, at - before);
    }
    return longest;
  } finally {
    await Promise.all(probers.map((prober) => prober.stop()));
    await trio.settled();
  }
}

function probe(members: readonly TrioMember[]): Prober[] {
  return members.map((member) => new Prober(member.clientPort));
}

async function firstAfter(probers: readonly Prober[], afterMs: number): Promise<number> {
  const deadline = performance.now() + DEADLINE_MS;
  while (performance.now() < deadline) {
    const done = probers.flatMap((prober) => prober.doneMs).filter((ms) => ms > afterMs);
    if (done.length > 0) return Math.min(...done);
    await sleep(2);
  }
  throw new Error(`no write was committed within ${DEADLINE_MS} ms`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
