import yargs from 'yargs';
import { type Arguments, type Command, type Flags, UsageError } from './command.js';

/** Flags every command takes. */
export const GLOBAL_FLAGS: Flags = {
  host: {
    type: 'string',
    short: 'H',
    about: 'daemon to talk to: unix://PATH or tcp://HOST:PORT ($SWARM_HOST)',
  },
};

/**
 * Parses what comes after a command's words.
 * @returns undefined when help was asked for (and printed)
 * @throws UsageError that names the flag or says what is missing
 */
export async function parseArguments(
  command: Command,
  argv: readonly string[],
  print: (text: string) => void,
): Promise<Arguments | undefined> {
  const name = `swarm ${command.path.join(' ')}`;
  const flags: Flags = { ...command.flags, ...GLOBAL_FLAGS };
  const parser = yargs()
    .scriptName('swarm')
    .usage(`Usage: ${name} ${command.usage}\n\n${command.about}`)
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'duplicate-arguments-array': false,
      'greedy-arrays': false,
      'halt-at-non-option': command.stopAtPositional === true,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'populate--': false,
      'strip-aliased': true,
    })
    .version(false)
    .help(false)
    .exitProcess(false)
    .option('help', { type: 'boolean', describe: 'show this help' });
  for (const [flag, { type, about, short, default: shown }] of Object.entries(flags)) {
    parser.option(flag, {
      type: type === 'list' ? 'array' : type === 'number' ? 'string' : type,
      ...(type === 'list' ? { string: true } : {}),
      ...(short === undefined ? {} : { alias: short }),
      ...(type === 'string' || type === 'number' ? { requiresArg: true } : {}),
      describe: shown === undefined ? about : `${about} (default ${shown})`,
    });
  }
  let values: Record<string, unknown> & { _: (string | number)[] };
  try {
    values = (await parser
      .strictOptions(false)
      .fail((message, error) => {
        throw error ?? new UsageError(message);
      })
      .parseAsync([...argv])) as typeof values;
  } catch (error) {
    throw new UsageError(`${name}: ${(error as Error).message}\n${seeHelp(name)}`);
  }
  if (values.help === true) {
    print(await parser.getHelp());
    return undefined;
  }
  const positionals = values._.map(String);
  refuseUnknown(command, flags, values, name);
  if (positionals.length < command.least) {
    throw new UsageError(`'${name}' requires at least ${count(command.least)}.\n${seeHelp(name)}`);
  }
  if (command.most !== undefined && positionals.length > command.most) {
    const most =
      command.most === 0 ? 'accepts no arguments' : `accepts at most ${count(command.most)}`;
    throw new UsageError(`'${name}' ${most}, got '${positionals.join(' ')}'.\n${seeHelp(name)}`);
  }
  return argumentsOf(values, positionals);
}

function refuseUnknown(
  command: Command,
  flags: Flags,
  values: Record<string, unknown>,
  name: string,
): void {
  const known = new Set(['_', '$0', 'help', ...Object.keys(flags)]);
  for (const flag of Object.values(flags)) if (flag.short !== undefined) known.add(flag.short);
  for (const given of Object.keys(values)) {
    if (known.has(given)) continue;
    const written = given.length === 1 ? `-${given}` : `--${given}`;
    if (command.notYet?.includes(given) === true) {
      throw new UsageError(
        `${written} is not supported by ${name} yet; leave it out.\n${seeHelp(name)}`,
      );
    }
    throw new UsageError(`unknown flag: ${written}\n${seeHelp(name)}`);
  }
}

function argumentsOf(values: Record<string, unknown>, positionals: readonly string[]): Arguments {
  const text = (name: string) => {
    const value = values[name];
    return value === undefined ? undefined : String(value);
  };
  return {
    positionals,
    string: text,
    boolean: (name) => values[name] === true,
    list: (name) => (values[name] as string[] | undefined)?.map(String) ?? [],
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

function seeHelp(name: string): string {
  return `See '${name} --help'.`;
}
