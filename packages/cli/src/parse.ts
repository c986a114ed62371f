import { type Arguments, type Command, type Flag, type Flags, UsageError } from './command.js';
import { helpText } from './help.js';

/** Flags every command takes, unless it has one of that name itself (`service create --host`). */
export const GLOBAL_FLAGS: Flags = {
  help: { type: 'boolean', short: 'h', about: 'show this help' },
  host: {
    type: 'string',
    short: 'H',
    about: 'daemon to talk to: unix://PATH or tcp://HOST:PORT ($SWARM_HOST)',
  },
  tlsverify: {
    type: 'boolean',
    about: 'TLS to tcp://HOST:PORT ($DOCKER_TLS_VERIFY), certificates in $DOCKER_CERT_PATH',
  },
};

/** Words that Docker's flags take for yes and no (Go, strconv.ParseBool). */
const YES = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const NO = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

type Value = string | boolean | string[];

/**
 * Parses what comes after a command's words, by the rules of Docker's flags (spf13/pflag): a flag that
 * takes a value takes the next word whatever it looks like (`--args --verbose`), a boolean never does
 * (`--detach=false`), short ones may be joined (`-qf`, `-p80:80`), `--` ends them.
 * @returns undefined when help was asked for (and printed)
 * @throws UsageError that names the flag or says what is missing
 */
export function parseArguments(
  command: Command,
  argv: readonly string[],
  print: (text: string) => void,
): Arguments | undefined {
  const globals = globalFlags(command);
  const flags: Flags = { ...globals, ...command.flags };
  const fail = (message: string): never => {
    throw new UsageError(`${message}\n${seeHelp(command)}`);
  };
  const { values, positionals } = read(command, flags, argv, fail);
  if (values.help === true) {
    print(helpText(command, globals));
    return undefined;
  }
  const name = `swarm ${command.path.join(' ')}`;
  if (positionals.length < command.least) {
    fail(`'${name}' requires at least ${count(command.least)}`);
  }
  if (command.most !== undefined && positionals.length > command.most) {
    const most =
      command.most === 0 ? 'accepts no arguments' : `requires at most ${count(command.most)}`;
    fail(`'${name}' ${most}, got '${positionals.join(' ')}'`);
  }
  return argumentsOf(values, positionals);
}

/** The daemon's address can always stand before the command: `swarm --host … service create`. */
export function globalFlags(command: Command): Flags {
  const free = Object.entries(GLOBAL_FLAGS).filter(([name]) => !Object.hasOwn(command.flags, name));
  return Object.fromEntries(free);
}

function read(
  command: Command,
  flags: Flags,
  argv: readonly string[],
  fail: (message: string) => never,
): { values: Record<string, Value>; positionals: string[] } {
  const values: Record<string, Value> = Object.create(null);
  const positionals: string[] = [];
  const find = (name: string, written: string): Flag => {
    if (Object.hasOwn(flags, name)) return flags[name]!;
    if (command.notYet?.includes(name) === true) {
      return fail(
        `${written} is not supported by swarm ${command.path.join(' ')} yet; leave it out`,
      );
    }
    return fail(`unknown flag: ${written}`);
  };
  const set = (name: string, flag: Flag, written: string, given: string | undefined) => {
    if (flag.type === 'boolean') {
      if (given !== undefined && !YES.includes(given) && !NO.includes(given))
        fail(`invalid argument '${given}' for ${written}: use true or false`);
      values[name] = given === undefined || YES.includes(given);
      return;
    }
    const value = given ?? fail(`flag needs an argument: ${written}`);
    if (flag.type === 'list') values[name] = [...((values[name] as string[]) ?? []), value];
    else values[name] = value;
  };
  let at = 0;
  /** The next word, for a flag that takes a value; booleans leave it alone. */
  const next = (flag: Flag) => (flag.type === 'boolean' ? undefined : argv[at++]);
  while (at < argv.length) {
    const word = argv[at++]!;
    if (word === '--') {
      positionals.push(...argv.slice(at));
      break;
    }
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals === -1 ? word.slice(2) : word.slice(2, equals);
      const flag = find(name, `--${name}`);
      set(name, flag, `--${name}`, equals === -1 ? next(flag) : word.slice(equals + 1));
    } else if (word.startsWith('-') && word.length > 1) {
      let rest = word.slice(1);
      while (rest !== '') {
        const letter = rest[0]!;
        rest = rest.slice(1);
        const [name, flag] =
          Object.entries(flags).find(([, each]) => each.short === letter) ??
          fail(`unknown shorthand flag: '${letter}' in ${word}`);
        if (flag.type !== 'boolean' || rest.startsWith('=')) {
          const joined = rest.startsWith('=') ? rest.slice(1) : rest;
          set(name, flag, `-${letter}, --${name}`, rest === '' ? next(flag) : joined);
          break;
        }
        set(name, flag, `-${letter}, --${name}`, undefined);
      }
    } else {
      positionals.push(word);
      if (command.stopAtPositional !== true) continue;
      positionals.push(...argv.slice(at));
      break;
    }
  }
  return { values, positionals };
}

function argumentsOf(
  values: Readonly<Record<string, Value>>,
  positionals: readonly string[],
): Arguments {
  const text = (name: string) => {
    const value = values[name];
    return value === undefined ? undefined : String(value);
  };
  return {
    positionals,
    string: text,
    boolean: (name) => values[name] === true,
    list: (name) => (values[name] as readonly string[] | undefined) ?? [],
    number(name) {
      const value = text(name);
      if (value === undefined) return undefined;
      if (!/^-?\d+(\.\d+)?$/.test(value))
        throw new UsageError(`invalid argument '${value}' for --${name}: a number is needed`);
      return Number(value);
    },
    has: (name) => values[name] !== undefined,
  };
}

function count(n: number): string {
  return n === 1 ? '1 argument' : `${n} arguments`;
}

function seeHelp(command: Command): string {
  const name = `swarm ${command.path.join(' ')}`;
  return `Usage: ${name} ${command.usage}\nRun '${name} --help' for more.`;
}
