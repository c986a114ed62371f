import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import {
  type Call,
  callProgram,
  EXIT_FD,
  FAILURE_FD,
  hasCallPrograms,
} from '../src/runtime/process/call-program.js';
import { makeFolder } from './support/real.js';

const test = (hasCallPrograms() ? anyTest : anyTest.skip) as TestFn;
if (!hasCallPrograms()) anyTest('SKIPPED, x86_64 alone has such programs', (t) => t.pass());

const WRITE = 1;
const GETPID = 39;
const FORK = 57;
const EXECVE = 59;
const CHDIR = 80;
const GETPGID = 121;
const EXIT = 231;

function call(number: number, args: Call['args'], kind: Call['kind'] = 'must'): Call {
  return { number, args, kind, what: `call ${number}` };
}

/** Runs a list of calls; its output, exit code, and what it wrote about a failure and an exit. */
function run(calls: readonly Call[]) {
  const folder = makeFolder();
  try {
    const program = join(folder.path, 'program');
    writeFileSync(program, callProgram(calls), { mode: 0o755 });
    const files = ['exit', 'failure'].map((name) => openSync(join(folder.path, name), 'w'));
    const stdio: ('pipe' | 'ignore' | number)[] = [
      'ignore',
      'pipe',
      'pipe',
      'ignore',
      'ignore',
      'ignore',
    ];
    stdio[EXIT_FD] = files[0]!;
    stdio[FAILURE_FD] = files[1]!;
    const { status, stdout, signal } = spawnSync(program, { stdio });
    files.forEach(closeSync);
    const text = (name: string) => readFileSync(join(folder.path, name), 'utf8');
    return { status, signal, out: stdout.toString(), exit: text('exit'), failure: text('failure') };
  } finally {
    folder.remove();
  }
}

test('Calls run in order with numbers, texts, bytes and lists of texts as arguments', (t) => {
  const command = ['/bin/sh', '-c', 'echo "$0 $A"; pwd; exit 3', 'ä b'];
  const done = run([
    call(WRITE, [1, 'one\n', 4]),
    call(WRITE, [1, Buffer.from('two\n'), 4]),
    call(CHDIR, ['/usr']),
    call(EXECVE, [command[0]!, command, ['A=c d']]),
  ]);
  t.is(done.out, 'one\ntwo\nä b c d\n/usr\n');
  t.is(done.status, 3);
});

test('A call that fails ends the program and is named; one that may fail does not', (t) => {
  const done = run([
    call(CHDIR, ['/no/such/folder'], 'may'),
    call(WRITE, [1, 'on\n', 3]),
    call(CHDIR, ['/no/such/folder']),
    call(WRITE, [1, 'never', 5]),
    call(EXIT, [0]),
  ]);
  t.is(done.out, 'on\n');
  t.is(done.status, 125);
  t.is(done.failure, 'could not call 80: error 002\n');
});

test('The parent of a fork reports the exit code or signal of its child, and reaps orphans', (t) => {
  for (const [script, code] of [
    ['exit 0', 0],
    ['exit 7', 7],
    ['exit 255', 255],
    ['kill -KILL $$', 137],
    ['(sleep 0.1 &); (true &); exit 42', 42],
  ] as const) {
    const done = run([
      call(FORK, [], 'fork'),
      call(EXECVE, ['/bin/sh', ['sh', '-c', script], ['PATH=/usr/bin:/bin']]),
    ]);
    t.is(done.status, code, script);
    t.is(done.exit, `${String(code).padStart(3, '0')}\n`);
  }
});

test('A large number of calls and long texts fit', (t) => {
  const long = 'x'.repeat(100_000);
  const done = run([
    ...Array.from({ length: 5_000 }, () => call(GETPID, [])),
    call(EXECVE, ['/usr/bin/printf', ['printf', '%s', long], []]),
  ]);
  t.is(done.out, long);
});

test('Numbers below zero reach the kernel', (t) => {
  // No process has the number -1.
  const done = run([call(GETPGID, [-1]), call(EXIT, [0])]);
  t.is(done.failure, 'could not call 121: error 003\n');
});

test('The file is an ELF program whose code cannot be written to and whose data cannot run', (t) => {
  const folder = makeFolder();
  t.teardown(() => folder.remove());
  const path = join(folder.path, 'program');
  writeFileSync(path, callProgram([call(EXIT, [0])]), { mode: 0o755 });
  const file = readFileSync(path);
  t.is(file.subarray(0, 4).toString('latin1'), '\x7fELF');
  t.deepEqual([file.readUInt32LE(64 + 4), file.readUInt32LE(64 + 56 + 4)], [0b101, 0b110]);
  t.notThrows(() => execFileSync(path));
});
