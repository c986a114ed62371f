import { execFile } from 'node:child_process';
import { copyFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { quickAnswer } from '../src/line/quick.js';
import { folderOf } from './support/folder.js';

const CLI = join(import.meta.dirname, '..', '..');
const LAUNCHER = join(CLI, '..', '..', 'swarm');
const PROGRAMS = { './swarm': LAUNCHER, 'bin/swarm.js': join(CLI, 'bin', 'swarm.js') };

interface Ended {
  readonly code: number | string | null | undefined;
  readonly out: string;
  readonly err: string;
}

function run(program: string, args: readonly string[], home: string): Promise<Ended> {
  const env = { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: home };
  return new Promise((resolve) => {
    execFile(program, args, { env, encoding: 'utf8' }, (error, out, err) => {
      resolve({ code: error === null ? 0 : error.code, out, err });
    });
  });
}

for (const [name, program] of Object.entries(PROGRAMS)) {
  test(`${name} runs the command`, async (t) => {
    t.deepEqual(await run(program, ['--version'], folderOf(t)), {
      ...{ code: 0, out: 'swarm version 0.1.0\n', err: '' },
    });
    t.is((await run(program, ['nonsense'], folderOf(t))).code, 1);
  });

  test(`${name}: --env-file is the service's, node does not read it`, async (t) => {
    const folder = folderOf(t);
    const args = ['service', 'create', `--env-file=${folder}/none`, 'nginx'];
    const { code, err } = await run(program, args, folder);
    t.is(code, 1);
    t.regex(err, /^--env-file: ENOENT/);
    const file = join(folder, 'env');
    writeFileSync(file, 'SWARM_HOST=nonsense\n');
    const kept = ['--host', `unix://${folder}/s`, 'service', 'create', '--env-file', file, 'nginx'];
    t.regex((await run(program, kept, folder)).err, /^no swarm daemon responds at unix:/);
  });
}

test('./swarm runs by a link to it, and from any folder', async (t) => {
  const folder = folderOf(t);
  symlinkSync(LAUNCHER, join(folder, 'swarm'));
  t.is((await run(join(folder, 'swarm'), ['-v'], folder)).out, 'swarm version 0.1.0\n');
});

test('./swarm of a checkout that is not built says how to build it', async (t) => {
  const folder = folderOf(t);
  copyFileSync(LAUNCHER, join(folder, 'swarm'));
  const { code, err } = await run(join(folder, 'swarm'), ['version'], folder);
  t.is(code, 1);
  t.is(
    err,
    `swarm: this checkout is not built yet: run (cd '${folder}' && npm ci && npx tsc -b)\n`,
  );
});

test('the version is answered at once where no daemon can be, and asked for where one may be', (t) => {
  const env = { XDG_RUNTIME_DIR: '/run/user/1000' };
  const answer = (argv: readonly string[], socket?: string, more: NodeJS.ProcessEnv = {}) =>
    quickAnswer(argv, { ...env, ...more }, 1000, (path) => path === socket);
  t.is(answer(['--version']), 'swarm version 0.1.0');
  t.is(answer(['-v']), 'swarm version 0.1.0');
  t.regex(answer(['version']) ?? '', /^Client:\n[\s\S]*\nServer: no daemon responds$/);
  t.is(answer(['version', '--help']), undefined);
  t.is(answer([]), undefined);
  t.is(answer(['version'], undefined, { SWARM_HOST: 'unix:///x' }), undefined);
  t.is(answer(['version'], '/run/user/1000/swarm/swarm.sock'), undefined);
  t.is(answer(['version'], '/run/swarm/swarm.sock'), undefined);
});
