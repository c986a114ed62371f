import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMost, type Goal, median, type Report } from './report.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const CLI = join(ROOT, 'packages', 'cli');
export const DEFAULT_CLI_ROUNDS = 41;
/**
 * The goal: `swarm version` takes at most this many times as long as a Node.js that does nothing.
 */
const VERSION_LIMIT = 1.8;
const DAEMONS = '/run/swarm/swarm.sock';

/** One command line, measured in turn with the others. */
interface Line {
  readonly name: string;
  readonly words: readonly string[];
}

/** Measures how long short commands take, as installed on hosts and as run in the checkout. */
export async function benchCli(say: (text: string) => void, rounds: number): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-bench-cli-'));
  const silent = createServer(() => {});
  try {
    say('bundling the command');
    const packed = layOut(folder);
    const socket = join(folder, 'silent.sock');
    await new Promise<void>((resolve) => silent.listen(socket, resolve));
    const swarm = (...words: string[]) => [packed, ...words];
    const version = { name: 'swarm version, no daemon', words: swarm('version') };
    const nothing = { name: 'node -e 0', words: [process.execPath, '-e', '0'] };
    const lines: Line[] = [
      nothing,
      version,
      { name: 'swarm --version', words: swarm('--version') },
      { name: './swarm version, in the checkout', words: [join(ROOT, 'swarm'), 'version'] },
      {
        name: 'swarm node ls, no daemon',
        words: swarm('--host', `unix://${folder}/none`, 'node', 'ls'),
      },
      { name: 'swarm service create --help', words: swarm('service', 'create', '--help') },
      { name: 'Tab after swarm service u', words: swarm('__complete', 'service', 'u') },
      {
        name: 'Tab for a name, the daemon is silent',
        words: swarm('__complete', '--host', `unix://${socket}`, 'node', 'rm', ''),
      },
    ];
    if (spawnSync('docker', ['--version']).status === 0)
      lines.push(
        { name: "docker --version (Docker's own)", words: ['docker', '--version'] },
        { name: "docker version, no daemon (Docker's own)", words: ['docker', 'version'] },
      );
    say(`${lines.length} command lines in turn, ${rounds} times`);
    const times = await measure(lines, rounds, folder);
    return reportOf(lines, times, version, nothing);
  } finally {
    silent.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Lays the package out as `npm install` of the packed file does. @returns the command */
function layOut(folder: string): string {
  execFileSync(process.execPath, [join(CLI, 'bundle.mjs')], { stdio: 'inherit' });
  const home = join(folder, 'package');
  for (const part of ['bin', 'bundle', 'package.json'])
    cpSync(join(CLI, part), join(home, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(home, 'node_modules'));
  return join(home, 'bin', 'swarm.js');
}

/** What a command line took, in milliseconds for each run. */
interface Taken {
  readonly wallMs: number[];
  /** All rounds together: the kernel counts in steps of 10 ms. */
  processorMs: number;
}

async function measure(
  lines: readonly Line[],
  rounds: number,
  folder: string,
): Promise<ReadonlyMap<Line, Taken>> {
  const env = { PATH: process.env.PATH, HOME: folder, XDG_RUNTIME_DIR: folder };
  const times = new Map<Line, Taken>(lines.map((line) => [line, { wallMs: [], processorMs: 0 }]));
  // The first round warms the page cache and does not count.
  for (let round = -1; round < rounds; round += 1) {
    for (const [line, taken] of times) {
      const before = childrenMs();
      const ms = await timeOf(line.words, env);
      if (round < 0) continue;
      taken.wallMs.push(ms);
      taken.processorMs += childrenMs() - before;
    }
  }
  return times;
}

/**
 * Processor time of all ended children: cutime and cstime of proc(5), in hundredths of a second.
 */
function childrenMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

function timeOf([program, ...args]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(program!, args, { env, stdio: 'ignore' });
    child.on('error', reject);
    child.on('exit', () => resolve(performance.now() - begin));
  });
}

function reportOf(
  lines: readonly Line[],
  times: ReadonlyMap<Line, Taken>,
  version: Line,
  nothing: Line,
): Report {
  const taken = (line: Line) => times.get(line)!;
  const wall = (line: Line) => median(taken(line).wallMs);
  // Pairs neighbours in time, because other work on the machine weighs on both.
  const ratios = taken(version).wallMs.map((each, at) => each / taken(nothing).wallMs[at]!);
  const goal: Goal = atMost('swarm version / node -e 0', median(ratios), '', VERSION_LIMIT);
  const notes = [];
  if (!goal.met)
    notes.push(
      'the rest is loading: see what packages/cli/src/main.ts imports before it knows the line',
    );
  if (existsSync(DAEMONS))
    notes.push(`a daemon of this host has ${DAEMONS}: swarm version asked it`);
  return {
    bench: 'cli',
    goals: [goal],
    figures: [
      {
        name: 'the same in processor time, all rounds',
        value: taken(version).processorMs / taken(nothing).processorMs,
        unit: '',
      },
      ...lines.map((line) => ({ name: line.name, value: wall(line), unit: 'ms' })),
    ],
    notes,
  };
}
