import { spawnSync } from 'node:child_process';
import test, { type TestFn } from 'ava';
import { COMMANDS, MANAGEMENT } from '../src/commands/commands.js';
import { commandHelp, managementHelp, overview } from '../src/line/help.js';
import { parseArguments } from '../src/line/parse.js';
import { splitWords } from '../src/flags/values.js';
import { command } from './support/fake-daemon.js';
import { noNode } from './support/no-node.js';
import { recorder } from './support/recorder.js';
import { main } from '../src/main.js';

/** Runs a command line that asks no daemon. */
async function swarm(...argv: string[]) {
  const output = recorder();
  return { code: await main(argv, { output, node: noNode }), out: output.out, err: output.err };
}

test('the overview lists every command once, by kind', async (t) => {
  const text = await overview(80);
  const headings = text.match(/^[A-Z].*:$/gm);
  t.deepEqual(headings, [
    'Management Commands:',
    'Cluster Commands:',
    'Commands:',
    'Global Options:',
  ]);
  const listed = [...text.matchAll(/^ {2}([a-z][\w-]*) {3}/gm)].map(([, word]) => word!);
  t.deepEqual(
    listed.sort(),
    [...new Set([...COMMANDS.map((each) => each.path[0]!), 'help'])].sort(),
  );
});

test('every management command has a line of help for each of its commands', (t) => {
  for (const word of Object.keys(MANAGEMENT)) {
    const text = managementHelp(word, 80);
    for (const each of COMMANDS.filter(({ path }) => path[0] === word))
      t.regex(text, new RegExp(`^  ${each.path[1]} `, 'm'));
  }
  const words = COMMANDS.flatMap(({ path }) => (path.length > 1 ? path[0]! : []));
  t.deepEqual(Object.keys(MANAGEMENT).sort(), [...new Set(words)].sort());
});

test('every example parses, as the command it stands with', async (t) => {
  let count = 0;
  for (const each of COMMANDS) {
    for (const { line } of each.examples ?? []) {
      const words = splitWords('example', line);
      t.deepEqual(words.slice(0, each.path.length), each.path, line);
      t.notThrows(() => parseArguments(each, words.slice(each.path.length)), line);
      count += 1;
    }
    const help = (await commandHelp(each, 80)).replaceAll(/\s+/g, ' ');
    t.is(help.includes('Examples:'), (each.examples ?? []).length > 0);
  }
  t.true(count > 25);
});

for (const width of [40, 60, 80, 120]) {
  test(`help fits a window of ${width} columns`, async (t) => {
    const pages = [await overview(width), managementHelp('service', width)];
    for (const each of COMMANDS) pages.push(await commandHelp(each, width));
    // A single word may be longer than its column.
    for (const line of pages.join('\n').split('\n'))
      t.true(line.length <= width || !line.trim().includes(' '), line);
  });
}

test('flags stand under headings, the general ones first', async (t) => {
  const text = await commandHelp(
    COMMANDS.find(({ path }) => path.join(' ') === 'service create')!,
    100,
  );
  t.deepEqual(text.match(/^[A-Z][\w ]*:$/gm), [
    'Options:',
    'Container Options:',
    'Network Options:',
    'Placement Options:',
    'Resource Options:',
    'Health Check Options:',
    'Restart Options:',
    'Update Options:',
    'Rollback Options:',
    'Global Options:',
    'Examples:',
  ]);
  t.regex(text, /-p, --publish list/);
  t.regex(text, /--limit-memory bytes/);
});

const SAME = [
  [
    ['service', 'create', '--help'],
    ['help', 'service', 'create'],
    ['service', 'help', 'create'],
    ['swarm', 'help', 'service', 'create'],
    ['service', 'create', '-dh'],
  ],
  [
    ['service', '--help'],
    ['help', 'service'],
    ['service', 'help'],
    ['service', '-h'],
  ],
  [['--help'], ['-h'], ['help'], ['--host', 'unix:///nowhere', 'help']],
  [
    ['init', '--help'],
    ['help', 'init'],
    ['swarm', 'init', '--help'],
  ],
];
for (const lines of SAME) {
  test(`help is the same by every way to it: ${lines.map((each) => each.join(' ')).join(', ')}`, async (t) => {
    const [first, ...others] = await Promise.all(lines.map((each) => swarm(...each)));
    t.is(first!.code, 0);
    t.regex(first!.out, /^Usage: swarm/);
    for (const each of others) t.deepEqual(each, first!);
  });
}

test('a line without a command says how to go on, as an error, whether words are missing or one', async (t) => {
  for (const words of [[], ['service'], ['swarm'], ['--host', 'unix:///nowhere']]) {
    const { code, out, err } = await swarm(...words);
    const help = await swarm(...words.filter((word) => word === 'service'), '--help');
    t.deepEqual({ code, out, err }, { code: 1, out: '', err: help.out }, words.join(' '));
  }
});

test('--version and -v say the version', async (t) => {
  t.deepEqual(await swarm('--version'), { code: 0, out: 'swarm version 0.1.0\n', err: '' });
  t.deepEqual(await swarm('-v'), await swarm('--version'));
});

test('a flag before the command needs its value, and takes it in every way', async (t) => {
  for (const flag of ['--host', '-H'])
    t.deepEqual(await swarm(flag), {
      ...{ code: 1, out: '', err: `flag needs an argument: ${flag}\nSee 'swarm --help'.\n` },
    });
  const none = 'no swarm daemon responds at unix:///nowhere: start one';
  for (const words of [
    ['--host', 'unix:///nowhere'],
    ['--host=unix:///nowhere'],
    ['-H', 'unix:///nowhere'],
    ['-H=unix:///nowhere'],
    ['-Hunix:///nowhere'],
    ['--tlsverify=false', '-Hunix:///nowhere'],
  ])
    t.true((await swarm(...words, 'node', 'ls')).err.startsWith(none), words.join(' '));
  t.regex((await swarm('--tlsverify=true', 'node', 'ls')).err, /--tlsverify is for daemons at tcp/);
});

const MISSPELT: readonly (readonly [readonly string[], string])[] = [
  [['servce', 'ls'], "Did you mean 'swarm service'?"],
  [['stak', 'ls'], "Did you mean 'swarm stack'?"],
  [['completion', 'bsh'], "Did you mean 'swarm completion bash' or 'swarm completion zsh'?"],
  [['--hots', 'x', 'node', 'ls'], "Did you mean '--host'?\nSee 'swarm --help'."],
  [['--hlep'], "Did you mean '--help'?\nSee 'swarm --help'."],
  [['--hots=x', 'ls'], "Did you mean '--host'?"],
  [['--host', 'x', '--tlsverfy', 'ls'], "Did you mean '--tlsverify'?"],
  [['-x', 'ls'], "See 'swarm --help'."],
  [['node', '--hlep'], "Did you mean '--help'?\nSee 'swarm node --help'."],
  [['service', '--filter', 'x', 'ls'], "See 'swarm service --help'."],
  [['nodes'], "Did you mean 'swarm node'?"],
  [['ini'], "Did you mean 'swarm init'?"],
  [['service', 'lst'], "Did you mean 'swarm service ls'?"],
  [['service', 'craete'], "Did you mean 'swarm service create'?"],
  [['help', 'service', 'updte'], "Did you mean 'swarm service update'?"],
  [['service', 'create', '--replcas', '3', 'nginx'], 'Did you mean --replicas?'],
  [['service', 'create', '--publsh=80', 'nginx'], 'Did you mean --publish?'],
  [['service', 'create', '-name', 'web', 'nginx'], 'Did you mean --name?'],
  [['node', 'update', '--avail', 'drain', 'n'], 'Did you mean --availability?'],
];
for (const [words, hint] of MISSPELT) {
  test(`a suggestion for: swarm ${words.join(' ')}`, async (t) => {
    const { code, err, out } = await swarm(...words);
    t.is(code, 1);
    t.is(out, '');
    t.true(err.includes(`\n${hint}\n`), err);
  });
}

for (const [words, flag] of [
  [['--hots', 'x', 'node', 'ls'], '--hots'],
  [['--hots=x', 'node', 'ls'], '--hots'],
  [['--host', 'x', '-q', 'ls'], '-q'],
  [['service', '--filter', 'x', 'ls'], '--filter'],
  [['help', '--zzz'], '--zzz'],
] as const) {
  test(`a flag that is not known is not taken for a command: swarm ${words.join(' ')}`, async (t) => {
    const { code, err } = await swarm(...words);
    t.is(code, 1);
    t.true(err.includes(`unknown flag: ${flag}\n`), err);
    t.false(err.includes('is not a swarm command'), err);
  });
}

for (const words of [['zzz'], ['service', 'zzz'], ['service', 'create', '--zzz', 'nginx']]) {
  test(`no suggestion where nothing is near: swarm ${words.join(' ')}`, async (t) => {
    const { code, err } = await swarm(...words);
    t.is(code, 1);
    t.false(err.includes('Did you mean'));
  });
}

for (const word of ['secret', 'config', 'stack', 'unlock', 'unlock-key']) {
  test(`swarm ${word} is not served yet, and says so`, async (t) => {
    const { code, err } = await swarm(word, 'ls');
    t.is(code, 1);
    t.is(err, `'swarm ${word}' is not supported yet.\nSee 'swarm --help'.\n`);
  });
}

test('the error about a value names the allowed ones, and no request is made', async (t) => {
  const { code, err, asked } = await command(t, {}, 'node', 'update', '--role', 'boss', 'n1');
  t.is(code, 1);
  t.regex(
    err,
    /^invalid argument 'boss' for --role: use worker, manager\nUsage: swarm node update/,
  );
  t.deepEqual(asked, []);
});

const docker = spawnSync('docker', ['--version']);
const testWithDocker = (docker.status === 0 ? test : test.skip) as TestFn;
if (docker.status !== 0) test('SKIPPED, no docker command to compare flags with', (t) => t.pass());

for (const each of COMMANDS) {
  const path = each.path.length > 1 ? each.path : ['swarm', ...each.path];
  if (['daemon', 'completion', 'doctor', 'backup', 'restore'].includes(each.path[0]!)) continue;
  if (['raft', 'mesh'].includes(each.path[0]!)) continue;
  if (each.path.join(' ') === 'service history') continue;
  const dockers = ['info', 'version'].includes(each.path[0]!) ? each.path : path;
  testWithDocker(`each flag of 'docker ${dockers.join(' ')}' is taken or refused by name`, (t) => {
    const { stdout, status } = spawnSync('docker', [...dockers, '--help'], { encoding: 'utf8' });
    t.is(status, 0);
    const theirs = [...stdout.matchAll(/^ {2}(?:-(\w), | {4})--([\w-]+)/gm)];
    const unknown = theirs
      .filter(([, short, name]) => {
        const ours = each.flags[name!];
        if (ours === undefined) return each.notYet?.includes(name!) !== true;
        return short !== undefined && ours.short !== short;
      })
      .map(([, , name]) => name!);
    t.deepEqual(unknown, []);
  });
}
