import { until } from '@swarm/raft/internals';
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  type BatchRunner,
  ChildRunner,
  LocalRunner,
  nodesOwnDrain,
  runSteps,
  type SeedBatch,
  spread,
} from '@swarm/sim';
import { BUGS } from '../src/bug-bank.js';
import { withBug } from '../src/bug-lab.js';
import { makePlan } from '../src/plan.js';
import { Totals } from '@swarm/sim';
import { MARKS } from '../src/marks.js';
import { runPlan } from '../src/simulation.js';
import { simulator } from '../src/simulator.js';
import test, { type ExecutionContext } from 'ava';

const PROGRAM = fileURLToPath(new URL('../src', import.meta.url));
const SIMULATOR = new URL('../src/simulator.js', import.meta.url).href;
/** For a machine that has much else to do. */
const TIMEOUT_MS = 240_000;

const how = {
  order: { from: 31, profile: 'all' },
  verify: false,
  keepGoing: false,
} as const;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A simulator as a process; killed at the latest when the test ends. */
function simulate(t: ExecutionContext, args: readonly string[], program = PROGRAM) {
  const child = spawn(process.execPath, [join(program, 'main.js'), ...args]);
  t.teardown(() => child.kill('SIGKILL'));
  const out = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (out.stdout += text));
  child.stderr.on('data', (text) => (out.stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...out }));
  });
  return { pid: child.pid!, ended, kill: (signal: NodeJS.Signals) => child.kill(signal) };
}

/** What a run printed, without its duration. */
function untimed({ stdout }: Ended): string {
  return stdout.replaceAll(/[\d.]+ seeds\/s/g, '').replaceAll(/\(\d+ times real time\)/g, '');
}

async function childrenOf(pid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = await Promise.all(
    pids.map(async (id) => {
      // A process that has just ended has no parent.
      const stat = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    }),
  );
  return pids.map(Number).filter((_, i) => parents[i] === pid);
}

test.serial('seeds spread over processes give the same result as in one', async (t) => {
  t.timeout(TIMEOUT_MS);
  const args = ['--profile', 'all', '--from', '31', '--seeds', '7'];
  const alone = await simulate(t, [...args, '--jobs', '1']).ended;
  const spreadOut = await simulate(t, [...args, '--jobs', '3', '--verify']).ended;
  t.is(alone.code, 0, alone.stderr);
  t.regex(alone.stdout, /^7 seeds, 0 failed/);
  t.regex(alone.stdout, /digest of all runs: [0-9a-f]{16}/);
  t.is(untimed(spreadOut), untimed(alone));
});

test.serial(
  'of several failures the first one counts, however many processes look for it',
  async (t) => {
    t.timeout(TIMEOUT_MS);
    const bug = BUGS.find(
      ({ name }) => name === 'entries that the state already has are applied again',
    )!;
    await withBug(bug, async (copy) => {
      const args = ['--profile', bug.profile, '--seeds', '40', '--no-shrink', '--trace', '3'];
      const alone = await simulate(t, [...args, '--jobs', '1'], copy).ended;
      t.is(alone.code, 1, alone.stderr);
      t.regex(alone.stdout, /FAILED seed \d+ /);
      const spreadOut = await simulate(t, [...args, '--jobs', '4'], copy).ended;
      t.is(spreadOut.code, 1, spreadOut.stderr);
      t.is(untimed(spreadOut), untimed(alone));

      const all = ['--profile', bug.profile, '--seeds', '12', '--no-shrink', '--trace', '0'];
      const going = await simulate(t, [...all, '--jobs', '2', '--keep-going'], copy).ended;
      t.is(going.code, 1, going.stderr);
      const counted = Number(/^12 seeds, (\d+) failed/m.exec(going.stdout)?.[1]);
      t.true(counted >= 2, going.stdout);
      t.is(going.stdout.match(/^FAILED seed/gm)?.length, counted);
    });
  },
);

test('batches are handed out in order, and each run is made once', async (t) => {
  t.timeout(TIMEOUT_MS);
  const seen: SeedBatch[] = [];
  const runner = new LocalRunner(simulator, { ...how, order: { from: 1, profile: 'lite' } });
  const watched = {
    run: (batch: SeedBatch) => {
      seen.push(batch);
      return runner.run(batch);
    },
    end: () => runner.end(),
  };
  const { totals } = await spread([watched, watched], {
    marks: MARKS,
    count: 11,
    keepGoing: false,
    enough: () => false,
    onReport: () => undefined,
  });
  t.is(totals.seeds, 11);
  let next = 0;
  for (const { first, count } of seen) {
    t.is(first, next);
    next += count;
  }
  t.is(next, 11);
});

test('a failure after another one, found sooner, does not count', async (t) => {
  const fails = new Set([20, 50]);
  const began: number[] = [];
  const open: (() => void)[] = [];
  // The test runs the handing out; the last batch begun is always the first to finish.
  const runner: BatchRunner = {
    run: ({ first, count }) => {
      began.push(first);
      const numbers = Array.from({ length: count }, (_, i) => first + i);
      const at = numbers.findIndex((number) => fails.has(number));
      const ran = at < 0 ? numbers : numbers.slice(0, at + 1);
      const tally = { ...new Totals(MARKS).tally, seeds: ran.length, failed: at < 0 ? 0 : 1 };
      const failed = at < 0 ? [] : [{ number: numbers[at]!, message: 'no' }];
      return new Promise((resolve) => {
        open.push(() => resolve({ batch: { first, count }, tally, failed }));
      });
    },
    end: () => undefined,
  };
  const spreading = spread([runner, runner, runner, runner], {
    marks: MARKS,
    count: 1_000,
    keepGoing: false,
    enough: () => false,
    onReport: () => undefined,
  });
  while (open.length > 0) {
    open.pop()!();
    await sleep(0);
  }
  const { totals, failed } = await spreading;
  t.deepEqual(began, [0, 16, 32, 48]);
  t.deepEqual(
    failed.map(({ number }) => number),
    [20],
  );
  t.is(totals.seeds, 21);
  t.is(totals.failed, 1);
});

test('another set of runs has another digest, the same set in another order has not', async (t) => {
  const runs = await Promise.all([1, 2, 3].map((seed) => runPlan(makePlan(seed, 'lite'))));
  const digestOf = (numbers: readonly number[]) => {
    const totals = new Totals(MARKS);
    for (const number of numbers) totals.add(runs[number]!);
    return totals.digest;
  };
  t.is(digestOf([2, 0, 1]), digestOf([0, 1, 2]));
  t.is(new Set([[0], [1], [0, 0], [0, 1], [0, 1, 2]].map(digestOf)).size, 5);
});

test('the time limit ends a run without an end', async (t) => {
  t.timeout(TIMEOUT_MS);
  const { code, stdout } = await simulate(t, [
    '--minutes',
    '0.01',
    '--profile',
    'lite',
    '--jobs',
    '2',
  ]).ended;
  t.is(code, 0);
  t.regex(stdout, /^\d+ seeds, 0 failed/);
});

test('a process that dies is an error that names its seeds', async (t) => {
  const runner = new ChildRunner(SIMULATOR, { ...how, order: { from: 31, profile: 'tails' } });
  t.teardown(() => runner.end());
  const running = runner.run({ first: 9, count: 1_000 });
  process.kill(runner.pid!, 'SIGKILL');
  await t.throwsAsync(running, { message: /seeds 40 to 1039 .* SIGKILL/ });
  await t.throwsAsync(runner.run({ first: 0, count: 1 }), { message: /seeds 31 to 31/ });
});

test.serial('an interrupt ends all processes, and reports what ran', async (t) => {
  t.timeout(TIMEOUT_MS);
  const running = simulate(t, ['--minutes', '10', '--profile', 'lite', '--jobs', '2']);
  await until('all processes run', async () => (await childrenOf(running.pid)).length === 2);
  const children = await childrenOf(running.pid);
  running.kill('SIGINT');
  const { code, stdout } = await running.ended;
  t.is(code, 130);
  t.regex(stdout, /SIGINT, so far:\n\d+ seeds/);
  await until('all processes are gone', () => children.every((pid) => !isAlive(pid)));
  t.pass();
});

test.serial('processes end when the one that spreads the seeds is killed', async (t) => {
  t.timeout(TIMEOUT_MS);
  const running = simulate(t, ['--minutes', '10', '--profile', 'lite', '--jobs', '2']);
  await until('all processes run', async () => (await childrenOf(running.pid)).length === 2);
  const children = await childrenOf(running.pid);
  t.teardown(() => {
    for (const pid of children) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  running.kill('SIGKILL');
  await running.ended;
  await until('all processes are gone', () => children.every((pid) => !isAlive(pid)));
  t.pass();
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('all promise jobs of a step are done before the next, with and without the fast way', async (t) => {
  for (const drain of [null, nodesOwnDrain()]) {
    const order: string[] = [];
    let step = 0;
    const after = async (name: string) => {
      for (let i = 0; i < 5; i++) await undefined;
      process.nextTick(() => order.push(`${name} tick`));
      await undefined;
      order.push(name);
    };
    await runSteps(() => {
      step++;
      order.push(`step ${step}`);
      void after(`job ${step}`);
      return step < 3;
    }, drain);
    t.deepEqual(order.slice(0, 6), [
      'step 1',
      'job 1',
      'job 1 tick',
      'step 2',
      'job 2',
      'job 2 tick',
    ]);
  }
});

test('a step that throws rejects the wait for the end', async (t) => {
  const failing = runSteps(() => {
    throw new Error('no');
  });
  await t.throwsAsync(failing, { message: 'no' });
});

test('how promise jobs are run does not change a run', async (t) => {
  t.timeout(TIMEOUT_MS);
  const drain = nodesOwnDrain();
  t.not(drain, null, 'Node has no _tickCallback: the simulator is slower than it could be');
  const fast = await runPlan(makePlan(4));
  (process as { _tickCallback?: (() => void) | undefined })._tickCallback = undefined;
  t.teardown(() => Object.assign(process, { _tickCallback: drain }));
  const slow = await runPlan(makePlan(4));
  t.is(slow.digest, fast.digest);
  t.is(slow.events, fast.events);
});
