import yargs, { type Argv } from 'yargs';
import { type Arguments, type Command, type Flag, UsageError } from '../command.js';
import { canonicalLine } from './canonical.js';
import { globalFlags } from './global-flags.js';
import { usageOf } from './usage.js';

/** The line is canonical when yargs sees it: no word leaves yargs anything to interpret. */
const PARSER = {
  'populate--': true,
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'greedy-arrays': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'short-option-groups': false,
} as const;

/** What yargs passes to a command: flags by name, positionals as `--`. */
type Read = Readonly<Record<string, unknown>>;

/**
 * Parses what follows a command's words.
 * @returns undefined if the user asked for help
 * @throws UsageError naming the flag or what is missing
 */
export function parseArguments(command: Command, argv: readonly string[]): Arguments | undefined {
  const flags = { ...globalFlags(command), ...command.flags };
  const { words, helpWanted } = canonicalLine(command, flags, argv);
  if (helpWanted) return undefined;
  let read: Read | undefined;
  const line = yargs()
    .scriptName('swarm')
    .detectLocale(false)
    .help(false)
    .version(false)
    .exitProcess(false)
    .parserConfiguration(PARSER)
    .strict()
    .fail((message, error) => {
      throw new UsageError(`${error?.message ?? message}\n${usageOf(command)}`);
    });
  declare(line, command, command.path, (argv) => {
    read = argv;
  });
  line.parseSync([...command.path, ...words]);
  if (read === undefined) throw new Error(`yargs has not run '${command.path.join(' ')}'`);
  return argumentsOf(read);
}

/** Declares the words of a command, each a subcommand of the one before, and its flags on the last. */
function declare(
  parent: Argv,
  command: Command,
  path: readonly string[],
  handle: (read: Read) => void,
): void {
  const [word, ...rest] = path;
  parent.command(
    word!,
    command.about,
    (line) => {
      if (rest.length > 0) declare(line, command, rest, handle);
      else declareFlags(line, command);
    },
    (read) => {
      if (rest.length === 0) handle(read);
    },
  );
}

function declareFlags(line: Argv, command: Command): void {
  for (const [name, flag] of Object.entries({ ...globalFlags(command), ...command.flags }))
    line.option(name, {
      type: flag.type === 'boolean' ? 'boolean' : 'string',
      array: flag.type === 'list',
      // yargs lays out the help after every command it ran; we make ours on request (help.ts).
      hidden: true,
      // A coerced option without a value is absent; yargs calls this for given ones only.
      ...(flag.type === 'boolean' ? {} : { coerce: checker(name, flag) }),
    });
  line.check((read) => {
    const problem = countProblem(command, positionalsOf(read));
    if (problem !== undefined) throw new UsageError(problem);
    return true;
  });
}

/** What is wrong with the number of positionals. */
function countProblem(command: Command, positionals: readonly string[]): string | undefined {
  const name = `swarm ${command.path.join(' ')}`;
  const { least, most } = command;
  if (positionals.length < least) return `'${name}' requires at least ${count(least)}`;
  if (most === undefined || positionals.length <= most) return undefined;
  const limit = most === 0 ? 'accepts no arguments' : `requires at most ${count(most)}`;
  return `'${name}' ${limit}, got '${positionals.join(' ')}'`;
}

/** Refuses values that the flag does not accept. */
function checker(name: string, flag: Flag) {
  return (value: unknown) => {
    if (flag.type === 'number') numberOf(name, String(value));
    if (flag.choices !== undefined && !flag.choices.includes(String(value)))
      throw new UsageError(
        `invalid argument '${value}' for --${name}: use ${flag.choices.join(', ')}`,
      );
    return value;
  };
}

function numberOf(name: string, value: string): number {
  if (!/^-?\d+(\.\d+)?$/.test(value))
    throw new UsageError(`invalid argument '${value}' for --${name}: use a number`);
  return Number(value);
}

function argumentsOf(read: Read): Arguments {
  const text = (name: string) => {
    const value = Object.hasOwn(read, name) ? read[name] : undefined;
    return value === undefined ? undefined : String(value);
  };
  const list = (name: string) => (Object.hasOwn(read, name) ? texts(read[name]) : []);
  return {
    positionals: positionalsOf(read),
    string: text,
    boolean: (name) => text(name) === 'true',
    list,
    number(name) {
      const value = text(name);
      return value === undefined ? undefined : numberOf(name, value);
    },
    has: (name) => text(name) !== undefined,
  };
}

function positionalsOf(read: Read): string[] {
  return texts(read['--']);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function count(n: number): string {
  return n === 1 ? '1 argument' : `${n} arguments`;
}
