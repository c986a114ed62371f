import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Verdict } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import { alive, until } from '../lab/index.js';
import { Breakage } from './member-protocol.js';
import { FAULTS } from './nemesis.js';
import type { TortureReport } from './report.js';
import { torture, type TortureOptions } from './torture.js';

const PROGRAM = join(import.meta.dirname, 'main.js');
/** About half a minute on two free processors. */
const TIMEOUT_MS = 240_000;

/** Runs each of these faults once. Removes what is kept after a problem. */
async function short(
  t: ExecutionContext,
  options: Pick<TortureOptions, 'kinds' | 'breakage' | 'keepGoing'>,
): Promise<TortureReport> {
  t.timeout(TIMEOUT_MS);
  const { signal } = new AbortController();
  const report = await torture({
    ...{ seconds: 0, members: 3, seed: 1, pacePercent: 30, signal },
    onProgress: () => t.timeout(TIMEOUT_MS),
    ...options,
  });
  if (report.folder !== undefined) {
    t.log(report.problems.join('\n'));
    await rm(report.folder, { recursive: true });
  }
  return report;
}

test.serial('real members keep every guarantee under every kind of fault', async (t) => {
  const report = await short(t, {});
  t.deepEqual(report.problems, []);
  t.is(report.verdict, Verdict.Linearizable);
  t.deepEqual(Object.keys(report.faults).sort(), FAULTS.map(({ kind }) => kind).sort());
  t.true(report.membersReplaced > 0);
  t.true(report.elections > 1);
  t.true(report.operations.reads > 0 && report.operations.writes > 0 && report.operations.cas > 0);
});

test.serial('members that answer reads without asking anybody are caught', async (t) => {
  const report = await short(t, {
    kinds: ['cut a member off'],
    breakage: Breakage.StaleReads,
    keepGoing: true,
  });
  t.is(report.verdict, Verdict.Not);
});

test.serial('members that acknowledge what is not on disk are caught', async (t) => {
  const report = await short(t, { kinds: ['kill all'], breakage: Breakage.LateLog });
  t.regex(report.problems.join(), /another log|not linearizable|two leaders/);
});

test.serial('called off, it leaves no process and no file', async (t) => {
  t.timeout(TIMEOUT_MS);
  const folder = await mkdtemp(join(tmpdir(), 'torture-test-'));
  const program = spawn(process.execPath, [PROGRAM, '--minutes', '5', '--seed', '1'], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = once(program, 'exit');
  try {
    // The second line comes when members run.
    const lines = createInterface({ input: program.stderr })[Symbol.asyncIterator]();
    await lines.next();
    await lines.next();
    const members = await childrenOf(program.pid!);
    t.true(members.length > 0);
    program.kill('SIGINT');
    const [code] = (await gone) as [number | null];
    t.is(code, 130);
    t.deepEqual(await readdir(folder), []);
    await until('the members are gone', () => members.every((pid) => !alive(pid)));
  } finally {
    program.kill('SIGKILL');
    await gone;
    await rm(folder, { recursive: true, force: true });
  }
});

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}
