import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test from 'ava';
import { quickAnswer } from '../src/line/quick.js';
import { folderOf } from './support/folder.js';

const CLI = join(import.meta.dirname, '..', '..');
const LAUNCHER = join(CLI, '..', '..', 'swarm');
/** Flags with which Node.js does something else than run the program. */
const ENDING = ['--version', '-v', '--help', '-h', '--eval', '-e', '-p', '--check', '--env-file'];
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
    t.is(err, `--env-file ${folder}/none: no such file or folder\n`);
    const file = join(folder, 'env');
    writeFileSync(file, 'SWARM_HOST=nonsense\n');
    const kept = ['--host', `unix://${folder}/s`, 'service', 'create', '--env-file', file, 'nginx'];
    t.regex((await run(program, kept, folder)).err, /^no swarm daemon responds at unix:/);
  });
}

/** Every flag that this Node.js knows, each also with a value, as a command of a service may have them. */
function flagsOfNode(): string[] {
  const help = execFileSync(process.execPath, ['--help'], { encoding: 'utf8' });
  const named = [...help.matchAll(/^ {2}(-[-\w]+)(?:, (-[-\w]+))?/gm)].flatMap(([, a, b]) => [
    a,
    b,
  ]);
  const flags = new Set([...process.allowedNodeEnvironmentFlags, ...named]);
  return [...flags].filter((flag) => flag !== undefined).flatMap((flag) => [flag, `${flag}=/none`]);
}

for (const [name, program] of Object.entries(PROGRAMS)) {
  test(`${name}: no flag of Node.js reaches it, not even those that it looks for everywhere`, async (t) => {
    const folder = folderOf(t);
    const socket = join(folder, 'daemon.sock');
    const bodies: { TaskTemplate: { ContainerSpec: { Args: string[] } } }[] = [];
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += String(chunk);
      });
      request.on('end', () => {
        bodies.push(JSON.parse(text));
        response.end(JSON.stringify({ ID: 'made' }));
      });
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    t.teardown(() => server.close());
    // Node.js 24 reads these from anywhere, too, and no dashes keep it from that.
    const flags = flagsOfNode().filter(
      (flag) => !/^--experimental-(default-)?config-file/.test(flag),
    );
    t.true(flags.length > 300 && flags.includes('--env-file=/none') && flags.includes('--version'));
    const create = ['--host', `unix://${socket}`, 'service', 'create', '-d'];
    // One line for all, and one for each that would end Node.js before it runs anything.
    const lines = [flags, ...ENDING.map((flag) => [flag, '/none'])];
    for (const line of lines) {
      const { code, out, err } = await run(program, [...create, 'host', 'node', ...line], folder);
      t.deepEqual({ code, out, err }, { code: 0, out: 'made\n', err: '' }, line.join(' '));
      t.deepEqual(bodies.at(-1)?.TaskTemplate.ContainerSpec.Args, ['node', ...line]);
    }
  });

  test(`${name}: a file of variables changes the service, not the command`, async (t) => {
    const folder = folderOf(t);
    const file = join(folder, 'env');
    writeFileSync(file, 'NODE_OPTIONS=--require=/none\nSWARM_HOST=nonsense\nFORCE_COLOR=1\n');
    const { code, err } = await run(
      program,
      ['service', 'create', '--env-file', file, 'x'],
      folder,
    );
    t.is(code, 1);
    t.regex(err, /^no swarm daemon responds at unix:/);
  });
}

test('where Node.js read the file all the same, the command says so and does nothing', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'env');
  writeFileSync(file, 'SWARM_HOST=nonsense\n');
  const bin = PROGRAMS['bin/swarm.js'];
  const words = ['service', 'create', '--env-file', file, 'x'];
  const { code, err } = await run(process.execPath, [bin, ...words], folder);
  t.is(code, 1);
  t.is(
    err,
    `swarm: Node.js has read --env-file itself: run 'swarm', or 'node -- ${bin}', not 'node ${bin}'\n`,
  );
  // With the dashes, as in the systemd unit, and for a command that has nothing to do with it.
  const fine = await run(
    process.execPath,
    ['--max-semi-space-size=4', '--', bin, ...words],
    folder,
  );
  t.regex(fine.err, /^no swarm daemon responds/);
  t.is((await run(process.execPath, [bin, '--version'], folder)).code, 0);
});

test('the systemd unit ends the flags of Node.js before ours', (t) => {
  const unit = readFileSync(join(CLI, 'systemd', 'swarm.service'), 'utf8');
  t.regex(unit, /^ExecStart=.* node [^"]*-- "\$\(command -v swarm\)" daemon /m);
});

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
