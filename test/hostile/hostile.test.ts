import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { until } from '../lab/index.js';
import { IDENTITIES } from './credential.js';
import { hostile, SEED_LIMIT } from './hostile.js';
import { describeReport } from './report.js';

const PROGRAM = join(import.meta.dirname, 'main.js');
/** About 40 s on two free processors. */
const TIMEOUT_MS = 300_000;
const SEED = 7;
const MESSAGES = 4_000;

test.serial('nothing ends, stalls, leaks, grows or changes when nodes are hostile', async (t) => {
  t.timeout(TIMEOUT_MS);
  const { signal } = new AbortController();
  const seeds = [SEED, randomInt(SEED_LIMIT)];
  const report = await hostile({
    ...{
      messages: MESSAGES,
      seconds: TIMEOUT_MS / 1_000 / seeds.length / 2,
      seeds,
      keepGoing: true,
      signal,
    },
    onProgress: () => t.timeout(TIMEOUT_MS),
  });
  t.log(describeReport(report));
  t.deepEqual(report.problems, []);
  t.true(report.messages >= 2 * MESSAGES, `${report.messages} messages`);
  t.deepEqual(Object.keys(report.counts.by(0)).sort(), [...IDENTITIES].sort());
  const { rounds, requests, lines } = report.honest;
  t.true(rounds > 0 && requests > 0 && lines > 0);
});

test.serial('an interrupted run leaves no process and no file', async (t) => {
  t.timeout(TIMEOUT_MS);
  const folder = await mkdtemp(join(tmpdir(), 'hostile-test-'));
  const program = spawn(process.execPath, [PROGRAM, '--seed', '1', '--keep-going'], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = once(program, 'exit');
  try {
    // The second line appears with the first messages.
    const lines = createInterface({ input: program.stderr })[Symbol.asyncIterator]();
    await lines.next();
    await lines.next();
    t.true((await processesOf(folder)).length > 0);
    program.kill('SIGINT');
    await gone;
    t.deepEqual(await readdir(folder), []);
    await until('its processes are gone', async () => (await processesOf(folder)).length === 0);
  } finally {
    program.kill('SIGKILL');
    await gone;
    await rm(folder, { recursive: true, force: true });
  }
});

/** Processes with the folder in their command line. */
async function processesOf(folder: string): Promise<string[]> {
  const entries = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const commands = await Promise.all(
    entries.map((entry) => readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')),
  );
  return commands.filter((command) => command.includes(`${folder}/`));
}
