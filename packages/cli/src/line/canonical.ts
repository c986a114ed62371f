import { type Command, type Flag, type Flags, UsageError } from '../command.js';
import { didYouMean, nearest } from './nearest.js';
import { usageOf } from './usage.js';
import { isYesOrNo, YES } from './yes-no.js';

/** A command's line in the one form that no parser can read in two ways. */
export interface CanonicalLine {
  /** `--name=value` for each flag, `--`, positionals. */
  readonly words: readonly string[];
  readonly helpWanted: boolean;
}

/**
 * Rewrites what follows a command's words by the rules of Docker's flags (spf13/pflag), before yargs parses
 * it. yargs goes by what a word looks like: it reads `--args --verbose` as two flags, `-5` as a number, and
 * takes the `false` of `--detach false`. pflag goes by what the flag is: one with a value takes the next
 * word whatever it is, a boolean never does (`--detach=false`), short ones may be joined (`-qf`, `-p80:80`),
 * `--` ends them, and the last of several values counts unless it is a list.
 * @throws UsageError for a flag that the command does not have, or that lacks its value
 */
export function canonicalLine(
  command: Command,
  flags: Flags,
  argv: readonly string[],
): CanonicalLine {
  const fail = (message: string): never => {
    throw new UsageError(`${message}\n${usageOf(command)}`);
  };
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  let at = 0;
  /** The next word, for a flag that takes a value; a boolean leaves it alone. */
  const next = (flag: Flag) => (flag.type === 'boolean' ? undefined : argv[at++]);
  const find = (name: string): Flag => {
    const written = `--${name}`;
    if (Object.hasOwn(flags, name)) return flags[name]!;
    if (command.notYet?.includes(name) === true)
      return fail(
        `${written} is not supported by swarm ${command.path.join(' ')} yet; leave it out`,
      );
    const likely = nearest(name, Object.keys(flags)).map((each) => `--${each}`);
    return fail(`unknown flag: ${written}${didYouMean(likely)}`);
  };
  const set = (name: string, flag: Flag, written: string, given: string | undefined) => {
    if (flag.type === 'boolean') {
      if (given !== undefined && !isYesOrNo(given))
        fail(`invalid argument '${given}' for ${written}: use true or false`);
      values.set(name, [String(given === undefined || YES.includes(given))]);
      return;
    }
    const value = given ?? fail(`flag needs an argument: ${written}`);
    values.set(name, flag.type === 'list' ? [...(values.get(name) ?? []), value] : [value]);
  };
  while (at < argv.length) {
    const word = argv[at++]!;
    if (word === '--') {
      positionals.push(...argv.slice(at));
      break;
    }
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals === -1 ? word.slice(2) : word.slice(2, equals);
      const flag = find(name);
      set(name, flag, `--${name}`, equals === -1 ? next(flag) : word.slice(equals + 1));
    } else if (word.startsWith('-') && word.length > 1) {
      let rest = word.slice(1);
      while (rest !== '') {
        const letter = rest[0]!;
        rest = rest.slice(1);
        const [name, flag] =
          Object.entries(flags).find(([, each]) => each.short === letter) ??
          fail(`unknown shorthand flag: '${letter}' in ${word}${oneDashTooFew(word, flags)}`);
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
  const given = [...values].flatMap(([name, all]) =>
    all.map((value) => `--${name}=${quoted(value)}`),
  );
  return {
    words: [...given, '--', ...positionals],
    helpWanted: values.get('help')?.[0] === 'true',
  };
}

/** yargs strips one pair of quotes from a value; these are the user's and have already passed the shell. */
function quoted(value: string): string {
  const first = value[0];
  return (first === '"' || first === "'") && value.endsWith(first) ? `"${value}"` : value;
}

/** Suggests `--name` for `-name`. */
function oneDashTooFew(word: string, flags: Flags): string {
  const name = word.slice(1).split('=')[0]!;
  return name.length > 1 && Object.hasOwn(flags, name) ? didYouMean([`--${name}`]) : '';
}
