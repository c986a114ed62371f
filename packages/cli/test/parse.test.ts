import test from 'ava';
import fc from 'fast-check';
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

/** What a line means: value flags and lists by name, booleans, positionals. */
interface Meaning {
  readonly name?: string;
  readonly env?: readonly string[];
  readonly all?: boolean;
  readonly quiet?: boolean;
  readonly rest?: readonly string[];
}

/**
 * Docker's habits, a row each: what the line means to a command, and to one that stops at its first
 * positional where that differs.
 */
const HABITS: readonly (readonly [string, readonly string[], Meaning | undefined, Meaning?])[] = [
  ['the next word is the value, a number', ['--name', '5'], { name: '5' }],
  ['the next word is the value, below zero', ['--name', '-5'], { name: '-5' }],
  ['the next word is the value, a flag of ours', ['--name', '--all'], { name: '--all' }],
  ['the next word is the value, no flag of ours', ['--name', '--x=y'], { name: '--x=y' }],
  ['the next word is the value, two dashes', ['--name', '--', 'a'], { name: '--', rest: ['a'] }],
  ['the next word is the value, empty', ['--name', ''], { name: '' }],
  ['a short flag takes the next word too', ['-n', '-q'], { name: '-q' }],
  ['a value may hold = signs', ['--env=A=B=C'], { env: ['A=B=C'] }],
  ['a value may be empty', ['--name='], { name: '' }],
  ['a value keeps its leading zeros', ['--name=007'], { name: '007' }],
  ['a value keeps what looks like hexadecimal', ['--name=0x10'], { name: '0x10' }],
  ['a value keeps its quotes', ['--name="a b"', '-e', "'"], { name: '"a b"', env: ["'"] }],
  ['a value keeps its spaces and lines', ['--name= a\n b '], { name: ' a\n b ' }],
  ['a value keeps dots and commas', ['-e', 'a.b=1,2'], { env: ['a.b=1,2'] }],
  ['a value of true is a text', ['--name', 'true'], { name: 'true' }],
  ['a dash alone is a positional', ['-', '-a'], { rest: ['-'], all: true }, { rest: ['-', '-a'] }],
  ['joined booleans', ['-aq'], { all: true, quiet: true }],
  ['joined, the last with the next word', ['-aqn', 'web'], { all: true, quiet: true, name: 'web' }],
  ['joined with a value', ['-nweb'], { name: 'web' }],
  ['joined with a value of flags', ['-n80:80'], { name: '80:80' }],
  ['joined with = and a value', ['-n=web'], { name: 'web' }],
  ['joined, a boolean with =', ['-aq=false'], { all: true, quiet: false }],
  ['=false', ['--all=false'], { all: false }],
  ['=0, =F, =FALSE', ['--all=0', '--quiet=F'], { all: false, quiet: false }],
  ['=1, =t', ['--all=1', '--quiet=t'], { all: true, quiet: true }],
  ['a boolean leaves the next word', ['--all', 'false'], { all: true, rest: ['false'] }],
  ['the last boolean counts', ['--all', '--all=false'], { all: false }],
  ['the last value counts', ['--name=a', '-n', 'b'], { name: 'b' }],
  ['lists repeat, long and short', ['-e', 'A', '--env', 'B', '--env=C'], { env: ['A', 'B', 'C'] }],
  ['a list takes one word at a time', ['-e', 'A', 'B'], { env: ['A'], rest: ['B'] }],
  ['a list keeps what is there twice', ['-e', 'A', '-e', 'A'], { env: ['A', 'A'] }],
  ['two dashes end the flags', ['-a', '--', '-q', '--x'], { all: true, rest: ['-q', '--x'] }],
  ['two dashes after two dashes', ['--', '--', 'a'], { rest: ['--', 'a'] }],
  [
    'positionals keep how they are written',
    ['1e3', '"x"', '', ' '],
    { rest: ['1e3', '"x"', '', ' '] },
  ],
  [
    'flags after positionals',
    ['x', '-a', 'y'],
    { rest: ['x', 'y'], all: true },
    { rest: ['x', '-a', 'y'] },
  ],
  [
    'two dashes after a positional',
    ['x', '--', '-a'],
    { rest: ['x', '-a'] },
    // Docker, too: 'docker run image -- -a' gives both words to the container.
    { rest: ['x', '--', '-a'] },
  ],
  [
    'an unknown flag after a positional',
    ['-q', 'x', '--y'],
    undefined,
    { quiet: true, rest: ['x', '--y'] },
  ],
  ['help after a positional', ['x', '--help'], undefined, { rest: ['x', '--help'] }],
  [
    'names of what every object has',
    ['--name', '__proto__', 'toString'],
    { name: '__proto__', rest: ['toString'] },
  ],
];

function meaningOf(command: Command, argv: readonly string[]): Required<Meaning> {
  const args = parsed(command, argv);
  return {
    name: args.string('name') ?? 'not given',
    env: args.list('env'),
    all: args.has('all') && args.boolean('all'),
    quiet: args.has('quiet') && args.boolean('quiet'),
    rest: args.positionals,
  };
}

const NOTHING_SAID = { name: 'not given', env: [], all: false, quiet: false, rest: [] };
for (const [habit, argv, meaning, stopping = meaning] of HABITS) {
  test(`Docker's habit: ${habit}`, (t) => {
    if (meaning !== undefined)
      t.deepEqual(meaningOf(COMMAND, argv), { ...NOTHING_SAID, ...meaning });
    t.deepEqual(meaningOf(STOPPING, argv), { ...NOTHING_SAID, ...stopping });
  });
}

test('whatever the values and positionals are, they come out as they went in', (t) => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '',
      '-',
      '--',
      '-5',
      '--name',
      '--name=x',
      '"q"',
      "'",
      '""',
      'true',
      '0x1',
      '$0',
    ),
  );
  fc.assert(
    fc.property(text, fc.array(text), fc.array(text), fc.boolean(), (name, env, rest, joined) => {
      const argv = [
        ...(joined ? [`--name=${name}`] : ['-n', name]),
        ...env.flatMap((each) => (joined ? [`-e=${each}`] : ['--env', each])),
        ...['--', ...rest],
      ];
      t.deepEqual(meaningOf(COMMAND, argv), { ...NOTHING_SAID, name, env, rest });
    }),
    { numRuns: 300 },
  );
  t.pass();
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
    message: /use a number/,
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
