import test from 'ava';
import { type Command, UsageError } from '../src/command.js';
import { COMMANDS } from '../src/commands/commands.js';
import { commandHelp } from '../src/line/help.js';
import { parseArguments } from '../src/line/parse.js';
import { parsed } from './support/args.js';

const COMMAND: Command = {
  path: ['try'],
  usage: '[OPTIONS] THING',
  about: 'Tries.',
  flags: {
    all: { type: 'boolean', short: 'a', about: 'all of it' },
    quiet: { type: 'boolean', short: 'q', about: 'no words' },
    name: { type: 'string', short: 'n', about: 'its name' },
    env: { type: 'list', short: 'e', about: 'variables' },
    ratio: { type: 'number', about: 'a ratio' },
  },
  notYet: ['secret'],
  least: 0,
  async run() {
    return 0;
  },
};
const STOPPING: Command = { ...COMMAND, stopAtPositional: true };

test('a flag that takes a value takes the next word, whatever it looks like', (t) => {
  t.is(parsed(COMMAND, ['--name', '--verbose']).string('name'), '--verbose');
  t.deepEqual(parsed(COMMAND, ['-e', '-x=1', '--env=A=B']).list('env'), ['-x=1', 'A=B']);
  t.is(parsed(COMMAND, ['--name=']).string('name'), '');
});

test('a boolean never takes the next word', (t) => {
  const args = parsed(COMMAND, ['--all', 'true', '--quiet=false']);
  t.true(args.boolean('all'));
  t.false(args.boolean('quiet'));
  t.true(args.has('quiet'));
  t.deepEqual(args.positionals, ['true']);
});

test('short flags may be joined, with each other and with their value', (t) => {
  const args = parsed(COMMAND, ['-aqnweb', '-e=A=1', '-eB=2']);
  t.true(args.boolean('all') && args.boolean('quiet'));
  t.is(args.string('name'), 'web');
  t.deepEqual(args.list('env'), ['A=1', 'B=2']);
});

test('the last of several values counts, a list keeps all', (t) => {
  const args = parsed(COMMAND, ['-n', 'a', '-n', 'b', '-e', 'x', '-e', 'y']);
  t.is(args.string('name'), 'b');
  t.deepEqual(args.list('env'), ['x', 'y']);
});

test('flags may follow positionals, unless the command stops at the first', (t) => {
  t.deepEqual(parsed(COMMAND, ['one', '-a', 'two']).positionals, ['one', 'two']);
  const args = parsed(STOPPING, ['-q', 'image', '-a', '--name', 'x']);
  t.deepEqual(args.positionals, ['image', '-a', '--name', 'x']);
  t.false(args.has('all') || args.has('name'));
});

test('two dashes end the flags', (t) => {
  t.deepEqual(parsed(COMMAND, ['-a', '--', '-q', '--x']).positionals, ['-q', '--x']);
});

const REFUSED: readonly (readonly [readonly string[], RegExp])[] = [
  [['--bogus'], /unknown flag: --bogus\nUsage: swarm try/],
  [['--bogus=1'], /unknown flag: --bogus\n/],
  [['--constructor', 'x'], /unknown flag: --constructor/],
  [['-z'], /unknown shorthand flag: 'z' in -z/],
  [['-az'], /unknown shorthand flag: 'z' in -az/],
  [['--name'], /flag needs an argument: --name/],
  [['-n'], /flag needs an argument: -n, --name/],
  [['--all=maybe'], /invalid argument 'maybe' for --all: use true or false/],
  [['--secret', 's'], /--secret is not supported by swarm try yet/],
];
for (const [argv, message] of REFUSED) {
  test(`refused: ${argv.join(' ')}`, (t) => {
    t.throws(() => parsed(COMMAND, argv), { instanceOf: UsageError, message });
  });
}

test('a number has to be one', (t) => {
  t.is(parsed(COMMAND, ['--ratio', '0.25']).number('ratio'), 0.25);
  t.throws(() => parsed(COMMAND, ['--ratio', 'x']).number('ratio'), {
    message: /a number is needed/,
  });
});

test('too few and too many positionals are refused', (t) => {
  const one: Command = { ...COMMAND, least: 1, most: 1 };
  t.throws(() => parsed(one, []), { message: /requires at least 1 argument/ });
  t.throws(() => parsed(one, ['a', 'b']), { message: /requires at most 1 argument, got 'a b'/ });
  t.throws(() => parsed({ ...one, least: 0, most: 0 }, ['a']), { message: /accepts no arguments/ });
});

test('every command has help that names each of its flags', async (t) => {
  for (const command of COMMANDS) {
    t.is(parseArguments(command, ['--help']), undefined);
    const help = await commandHelp(command, 100);
    t.true(help.startsWith(`Usage: swarm ${command.path.join(' ')}`));
    const flat = help.replaceAll(/\s+/g, ' ');
    for (const [name, { about, short }] of Object.entries(command.flags)) {
      const written = `${short === undefined ? '' : `-${short}, `}--${name}`;
      t.true(flat.includes(written), `${command.path.join(' ')} ${written}`);
      t.true(flat.includes(about), `${command.path.join(' ')} --${name}`);
    }
  }
});

test('no two flags of a command share a letter', (t) => {
  for (const command of COMMANDS) {
    const letters = Object.values(command.flags).flatMap(({ short }) => short ?? []);
    t.is(new Set(letters).size, letters.length, command.path.join(' '));
    t.false(letters.includes('h') || letters.includes('H'), command.path.join(' '));
  }
});
