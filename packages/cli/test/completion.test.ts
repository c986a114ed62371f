import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { complete, type LiveNames } from '../src/completion/complete.js';
import { COMPLETION_DEADLINE_MS, daemonNames } from '../src/completion/daemon-names.js';
import { SCRIPTS } from '../src/completion/scripts.js';
import { folderOf } from './support/folder.js';
import { noNode } from './support/no-node.js';
import { recorder } from './support/recorder.js';
import { main } from '../src/main.js';

const NAMES: LiveNames = {
  async of(kind) {
    const names = {
      network: ['back', 'front'],
      node: ['alpha', 'beta'],
      service: ['api', 'web'],
      task: ['t1abc', 't2abc'],
    };
    return names[kind].map((value) => ({ value, about: kind }));
  },
};

/** What is offered for a line; the word at the cursor is what stands after the last space. */
async function offered(line: string): Promise<readonly string[]> {
  const { candidates } = await complete(line.split(' ').slice(1), NAMES);
  return candidates.map(({ value }) => value);
}

const OFFERED: readonly (readonly [string, readonly string[]])[] = [
  ['swarm se', ['service']],
  ['swarm swarm ini', ['init']],
  ['swarm --host unix:///x no', ['node']],
  ['swarm --', ['--help', '--host', '--tlsverify', '--version']],
  ['swarm node ', ['demote', 'inspect', 'ls', 'promote', 'ps', 'rm', 'update']],
  ['swarm help node p', ['promote', 'ps']],
  ['swarm service up', ['update']],
  ['swarm service create --rep', ['--replicas', '--replicas-max-per-node']],
  ['swarm service create --replicas 3 --replicas', ['--replicas-max-per-node']],
  ['swarm service create -e A=1 --env', ['--env', '--env-file']],
  ['swarm service create --mode ', ['replicated', 'global', 'replicated-job', 'global-job']],
  ['swarm service create --mode=g', ['--mode=global', '--mode=global-job']],
  ['swarm service create --init=f', ['--init=false']],
  ['swarm service create --name ', []],
  ['swarm service create --name --mode --mo', ['--mode', '--mount']],
  ['swarm service create nginx --', []],
  ['swarm node update --role m', ['manager']],
  ['swarm node update --availability drain ', ['alpha', 'beta']],
  ['swarm node update alpha ', []],
  ['swarm node rm alpha ', ['beta']],
  ['swarm node rm -- --', []],
  ['swarm service scale ', ['api=', 'web=']],
  ['swarm service scale web=3 ', ['api=']],
  ['swarm service logs ', ['api', 'web']],
  ['swarm service logs t', ['t1abc', 't2abc']],
  ['swarm service ps -q w', ['web']],
  ['swarm join-token ', ['worker', 'manager']],
  ['swarm join-token worker ', []],
  ['swarm reconnect --a', ['--advertise-addr']],
  ['swarm recon', ['reconnect']],
  ['swarm network ', ['connect', 'create', 'disconnect', 'inspect', 'ls', 'prune', 'rm']],
  ['swarm network rm ', ['back', 'front']],
  ['swarm service create --network b', ['back']],
  ['swarm service update --network-rm=', ['--network-rm=back', '--network-rm=front']],
  ['swarm update --host-privileges ', ['none', 'capabilities', 'root']],
  ['swarm daemon --log-level ', ['debug', 'info', 'warn', 'error']],
  ['swarm completion ', ['bash', 'zsh', 'fish']],
  ['swarm nonsense ', []],
  ['swarm node nonsense ', []],
];
for (const [line, expected] of OFFERED) {
  test(`Tab after '${line}'`, async (t) => {
    t.deepEqual(await offered(line), expected);
  });
}

test('where a file is named the shell looks for files', async (t) => {
  for (const words of [
    ['backup', ''],
    ['restore', 'x'],
    ['service', 'create', '--env-file', ''],
  ])
    t.is((await complete(words, NAMES)).directive, 'files');
  t.is((await complete(['service', 'scale', 'w'], NAMES)).directive, 'nospace');
});

test('the line says which daemon is asked', async (t) => {
  const asked: unknown[] = [];
  const names: LiveNames = {
    async of(_, host) {
      asked.push(host);
      return [];
    },
  };
  await complete(['--host', 'unix:///a', 'node', 'rm', ''], names);
  await complete(['node', 'rm', '-H', 'unix:///b', ''], names);
  await complete(['service', 'ps', '--host=unix:///c', ''], names);
  await complete(['node', 'rm', '--tlsverify', ''], names);
  t.deepEqual(asked, [
    { host: 'unix:///a', tlsVerify: false },
    { host: 'unix:///b', tlsVerify: false },
    { host: 'unix:///c', tlsVerify: false },
    { host: undefined, tlsVerify: true },
  ]);
});

/** A daemon with these nodes and services; one that is silent accepts and never answers. */
async function daemonOn(t: ExecutionContext, silent = false): Promise<string> {
  const node = (id: string, hostname: string) => ({
    ID: id,
    Spec: { Role: 'worker', Availability: 'active' },
    Status: { State: 'ready' },
    Description: { Hostname: hostname },
  });
  const answers: Readonly<Record<string, unknown>> = {
    '/v1.50/nodes': [
      node('n1', 'alpha'),
      node('n2', 'beta'),
      node('n3', 'twin'),
      node('n4', 'twin'),
      node('n5', '$(touch /tmp/owned)'),
      node('n6', 'a\nb'),
      node('n7', '-x'),
    ],
    '/v1.50/services': ['web', 'webhook'].map((Name) => ({
      Spec: { Name, TaskTemplate: { ContainerSpec: { Image: 'nginx:1\u001b[2J' } } },
    })),
    '/v1.50/tasks': [{ ID: 'task1', ServiceID: 's', ServiceName: 'web', Slot: 3 }],
  };
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0]!;
    if (!silent) response.end(JSON.stringify(answers[path]));
  });
  const socket = join(folderOf(t), 'swarm.sock');
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `unix://${socket}`;
}

test.serial(
  'names come from the daemon, without any that a shell could take for more',
  async (t) => {
    const names = daemonNames(
      { SWARM_HOST: await daemonOn(t) },
      { uid: process.getuid!() },
      30_000,
    );
    const here = { host: undefined, tlsVerify: false };
    t.deepEqual(
      (await names.of('node', here)).map(({ value }) => value),
      ['alpha', 'beta', 'n3', 'n4'],
    );
    t.deepEqual(await names.of('service', here), [
      { value: 'web', about: 'nginx:1\\x1b[2J' },
      { value: 'webhook', about: 'nginx:1\\x1b[2J' },
    ]);
    t.deepEqual(await names.of('task', here), [{ value: 'task1', about: 'web.3' }]);
  },
);

test.serial('a daemon that does not answer costs the deadline, and has no names', async (t) => {
  const names = daemonNames({ SWARM_HOST: await daemonOn(t, true) }, { uid: process.getuid!() });
  const begin = performance.now();
  t.deepEqual(await names.of('node', { host: undefined, tlsVerify: false }), []);
  t.true(performance.now() - begin < COMPLETION_DEADLINE_MS + 1000);
});

test('no daemon, a refused one and a bad address have no names, and say nothing', async (t) => {
  for (const host of ['unix:///nowhere/x.sock', 'nonsense', 'tcp://192.0.2.1:2377']) {
    const output = recorder();
    t.is(await main(['__complete', '--host', host, 'node', 'rm', ''], { output, node: noNode }), 0);
    t.deepEqual([output.out, output.err], [':space\n', '']);
  }
});

test('completion prints the script of a shell, and refuses others', async (t) => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const output = recorder();
    t.is(await main(['completion', shell], { output, node: noNode }), 0);
    t.is(output.out, SCRIPTS[shell]);
  }
  const output = recorder();
  t.is(await main(['completion', 'tcsh'], { output, node: noNode }), 1);
  t.is(output.err, "no completion for 'tcsh': use bash, zsh, fish\n");
});

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'swarm.js');

/** Runs a program to its end beside the daemon that this process is. */
function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        out += text;
      });
    child.on('error', reject);
    child.on('close', () => resolve(out));
  });
}

/** A folder with `swarm` on the path of the environment, and the script of the shell. */
async function shellOf(t: ExecutionContext, shell: keyof typeof SCRIPTS, silent = false) {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'swarm'), `#!/bin/sh\nexec '${process.execPath}' '${BIN}' "$@"\n`);
  chmodSync(join(folder, 'swarm'), 0o755);
  writeFileSync(join(folder, 'script'), SCRIPTS[shell]);
  writeFileSync(join(folder, 'a file'), '');
  const env = {
    HOME: folder,
    PATH: `${folder}:${process.env.PATH}`,
    SWARM_HOST: await daemonOn(t, silent),
    LC_ALL: 'C.UTF-8',
  };
  return { folder, env };
}

const has = (program: string) => spawnSync(program, ['--version']).error === undefined;
const SHELLS = ['bash', 'fish', 'zsh'];
for (const shell of SHELLS.filter((each) => !has(each)))
  test(`SKIPPED, ${shell} is not installed`, (t) => t.pass());
const shellTest = (shell: string) => (has(shell) ? test.serial : test.serial.skip);

/** Presses Tab until the daemon was fast enough: on a busy machine a deadline of half a second passes. */
async function pressed(press: () => Promise<string>, expected: string): Promise<string> {
  let out = '';
  for (let attempt = 0; attempt < 10 && out !== expected; attempt += 1) out = await press();
  return out;
}

/** What a line becomes when Tab is pressed in a real shell: the candidates, one a line. */
const PRESSED: readonly (readonly [string, readonly string[]])[] = [
  ['swarm serv', ['service']],
  ['swarm node update --availability=d', ['--availability=drain']],
  ['swarm node update --availability d', ['drain']],
  ['swarm node rm ', ['alpha', 'beta', 'n3', 'n4']],
  ['swarm service scale web', ['web=', 'webhook=']],
  ['swarm service logs task', ['task1']],
  ['swarm service create --publish 80:80 --mo', ['--mode', '--mount']],
];

/** Fills in what readline gives to a completion, words split as bash splits them, and prints COMPREPLY. */
const PRESS_BASH = `
source "$1"
COMP_LINE=$2 COMP_POINT=\${#2} COMP_WORDS=() COMP_CWORD=0
rest=$COMP_LINE
while [[ $rest =~ ^\\ *([=:]+|[^\\ =:]+)(.*)$ ]]; do COMP_WORDS+=("\${BASH_REMATCH[1]}"); rest=\${BASH_REMATCH[2]}; done
[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
[[ $(complete -p swarm) == 'complete -F _swarm swarm' ]] || echo 'not registered'
_swarm
printf '%s\\n' "\${COMPREPLY[@]}"`;

for (const [line, expected] of PRESSED) {
  shellTest('bash')(`bash: Tab after '${line}'`, async (t) => {
    const { folder, env } = await shellOf(t, 'bash');
    // bash only replaces what stands behind the last = or :.
    const rest = expected.map((each) => `${each.replace(/^--availability=/, '')}\n`).join('');
    const args = ['-c', PRESS_BASH, 'bash', join(folder, 'script'), line];
    t.is(await pressed(() => run('bash', args, env), rest), rest);
  });
}

shellTest('bash')('bash: files where a file is named', async (t) => {
  const { folder, env } = await shellOf(t, 'bash');
  const line = `swarm backup ${folder}/a`;
  const out = await run('bash', ['-c', PRESS_BASH, 'bash', join(folder, 'script'), line], env);
  t.is(out, `${folder}/a file\n`);
});

shellTest('bash')('bash: a silent daemon does not hold up the words that need none', async (t) => {
  const { folder, env } = await shellOf(t, 'bash', true);
  for (const [line, expected] of [
    ['swarm node rm ', '\n'],
    ['swarm node rm --fo', '--force\n'],
  ] as const) {
    const begin = performance.now();
    const out = await run('bash', ['-c', PRESS_BASH, 'bash', join(folder, 'script'), line], env);
    t.is(out, expected);
    t.true(performance.now() - begin < 10_000);
  }
});

for (const [line, expected] of PRESSED) {
  shellTest('fish')(`fish: Tab after '${line}'`, async (t) => {
    const { folder, env } = await shellOf(t, 'fish');
    const program = 'source $argv[1]; complete -C $argv[2]';
    const args = ['-N', '-c', program, join(folder, 'script'), line];
    const wanted = expected.map((each) => `${each}\n`).join('');
    t.is(
      await pressed(async () => (await run('fish', args, env)).replaceAll(/\t.*/g, ''), wanted),
      wanted,
    );
  });
}

/** Prints what the completion hands to zsh, in the place where zsh's own function would take it. */
const PRESS_ZSH = `
autoload -Uz compinit && compinit -u -D
source "$1"
[[ $_comps[swarm] == _swarm ]] || print 'not registered'
_describe() { print -l -- "\${(@)\${(@P)2}%%:*}" }
words=("\${(@s: :)2}") CURRENT=$#words PREFIX=$words[-1]
_swarm`;

for (const [line, expected] of PRESSED) {
  shellTest('zsh')(`zsh: Tab after '${line}'`, async (t) => {
    const { folder, env } = await shellOf(t, 'zsh');
    const args = ['-f', '-c', PRESS_ZSH, 'zsh', join(folder, 'script'), line];
    const wanted = expected.map((each) => `${each}\n`).join('');
    t.is(await pressed(() => run('zsh', args, env), wanted), wanted);
  });
}
