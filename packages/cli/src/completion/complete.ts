import type { Command, Completes, Flag, Flags } from '../command.js';
import { COMMANDS, commandsOf, findCommand, MANAGEMENT } from '../commands/commands.js';
import { GLOBAL_FLAGS, globalFlags, leadingFlags } from '../line/global-flags.js';
import { summaryOf } from '../line/usage.js';

/** A word that may be at the cursor. */
export interface Candidate {
  readonly value: string;
  readonly about: string;
}

/** The cluster's names; empty if it does not answer in time. */
export interface LiveNames {
  of(kind: 'network' | 'node' | 'service' | 'task', host: LiveHost): Promise<readonly Candidate[]>;
}

/** The daemon named by the line so far. */
export interface LiveHost {
  readonly host: string | undefined;
  readonly tlsVerify: boolean;
}

/** What the shell does with the candidates: adds a space, adds none, or looks for files instead. */
export type Directive = 'space' | 'nospace' | 'files';

export interface Completion {
  readonly candidates: readonly Candidate[];
  readonly directive: Directive;
}

const NOTHING: Completion = { candidates: [], directive: 'space' };

/**
 * Completes the last word of a command line.
 * @param words all words without `swarm`; the last is the one at the cursor, perhaps empty
 */
export async function complete(words: readonly string[], names: LiveNames): Promise<Completion> {
  const current = words.at(-1) ?? '';
  const { host, tlsVerify, rest } = leadingFlags(words.slice(0, -1));
  const found = await candidatesAt(rest, current, names, { host, tlsVerify });
  const candidates = found.candidates.filter(({ value }) => value.startsWith(current));
  return { ...found, candidates };
}

async function candidatesAt(
  before: readonly string[],
  current: string,
  names: LiveNames,
  host: LiveHost,
): Promise<Completion> {
  const [first, second] = before;
  if (first === undefined)
    return current.startsWith('-')
      ? only(flagCandidates({ ...GLOBAL_FLAGS, version: VERSION_FLAG }, new Set()))
      : only(firstWords());
  // The value of `--host`, or of a flag we do not know.
  if (first.startsWith('-')) return NOTHING;
  if (first === 'help') return only(before.length === 1 ? firstWords() : subcommands(second));
  const command = findCommand(before);
  if (command !== undefined)
    return atCommand(command, before.slice(command.path.length), current, names, host);
  return before.length === 1 && Object.hasOwn(MANAGEMENT, first)
    ? only(subcommands(first))
    : NOTHING;
}

const VERSION_FLAG: Flag = { type: 'boolean', short: 'v', about: 'show the version' };

async function atCommand(
  command: Command,
  before: readonly string[],
  current: string,
  names: LiveNames,
  lead: LiveHost,
): Promise<Completion> {
  const flags: Flags = { ...globalFlags(command), ...command.flags };
  const { open, given, positionals, ended } = soFar(command, flags, before);
  // `service create --host` is a flag of its own.
  const own = Object.hasOwn(command.flags, 'host') ? undefined : given.get('host');
  const host = { host: own ?? lead.host, tlsVerify: lead.tlsVerify || given.has('tlsverify') };
  if (open !== undefined) return valuesOf(open, '', current, names, host);
  if (!ended && current.startsWith('-')) {
    const equals = current.indexOf('=');
    if (equals === -1) return only(flagCandidates(flags, new Set(given.keys())));
    const flag = flags[current.slice(2, equals)];
    return current.startsWith('--') && flag !== undefined
      ? valuesOf(flag, current.slice(0, equals + 1), current, names, host)
      : NOTHING;
  }
  const { completes = [], most = Number.POSITIVE_INFINITY } = command;
  if (positionals.length >= most || (ended && command.stopAtPositional === true)) return NOTHING;
  if ('words' in completes) return only(completes.words.map((value) => ({ value, about: '' })));
  const taken = new Set(positionals.map((each) => each.split('=')[0]));
  const all = await named(completes, '', current, names, host);
  return {
    ...all,
    candidates: all.candidates.filter(({ value }) => !taken.has(value.replace(/=$/, ''))),
  };
}

/** What the words before the cursor mean, by the rules of canonicalLine. */
function soFar(command: Command, flags: Flags, before: readonly string[]) {
  const given = new Map<string, string>();
  const positionals: string[] = [];
  let open: Flag | undefined;
  let openName = '';
  let ended = false;
  for (const word of before) {
    if (open !== undefined) {
      given.set(openName, word);
      open = undefined;
    } else if (ended) positionals.push(word);
    else if (word === '--') ended = true;
    else if (word.startsWith('--')) {
      const [name, ...value] = word.slice(2).split('=');
      const flag = flags[name!];
      openName = name!;
      given.set(openName, value.join('='));
      if (value.length === 0 && flag !== undefined && flag.type !== 'boolean') open = flag;
    } else if (word.startsWith('-') && word.length > 1) {
      for (let at = 1; at < word.length; at += 1) {
        const found = Object.entries(flags).find(([, { short }]) => short === word[at]);
        if (found === undefined) break;
        openName = found[0];
        given.set(openName, word.slice(at + 1));
        if (found[1].type === 'boolean') continue;
        if (at === word.length - 1) open = found[1];
        break;
      }
    } else {
      positionals.push(word);
      ended = command.stopAtPositional === true;
    }
  }
  for (const [name, { type }] of Object.entries(flags)) if (type === 'list') given.delete(name);
  return { open, given, positionals, ended };
}

/** Values of a flag; the prefix comes before them in the same word, such as `--role=`. */
async function valuesOf(
  flag: Flag,
  prefix: string,
  current: string,
  names: LiveNames,
  host: LiveHost,
): Promise<Completion> {
  const choices = flag.type === 'boolean' ? ['true', 'false'] : flag.choices;
  if (choices !== undefined)
    return only(choices.map((value) => ({ value: `${prefix}${value}`, about: '' })));
  return flag.completes === undefined
    ? NOTHING
    : named([flag.completes], prefix, current, names, host);
}

async function named(
  kinds: readonly Completes[],
  prefix: string,
  current: string,
  names: LiveNames,
  host: LiveHost,
): Promise<Completion> {
  if (kinds.includes('file')) return { candidates: [], directive: 'files' };
  const lists = kinds.map((kind) => {
    if (kind === 'service=') return names.of('service', host);
    // Too many tasks to list all of them on a line that is more likely about a service.
    if (kind === 'task' && current === prefix && kinds.length > 1) return [];
    return kind === 'file' ? [] : names.of(kind, host);
  });
  const end = kinds.includes('service=') ? '=' : '';
  const all = (await Promise.all(lists)).flat();
  return {
    candidates: all.map(({ value, about }) => ({ value: `${prefix}${value}${end}`, about })),
    directive: end === '' ? 'space' : 'nospace',
  };
}

function flagCandidates(flags: Flags, given: ReadonlySet<string>): Candidate[] {
  return Object.entries(flags)
    .filter(([name]) => !given.has(name))
    .map(([name, { about }]) => ({ value: `--${name}`, about }))
    .sort((a, b) => (a.value < b.value ? -1 : 1));
}

function firstWords(): Candidate[] {
  const single = COMMANDS.filter(({ path }) => path.length === 1);
  return [
    ...Object.entries(MANAGEMENT).map(([value, about]) => ({ value, about })),
    ...single.map((each) => ({ value: each.path[0]!, about: summaryOf(each) })),
    { value: 'help', about: 'Help about a command' },
  ].sort((a, b) => (a.value < b.value ? -1 : 1));
}

function subcommands(word: string | undefined): Candidate[] {
  return commandsOf(word).map((each) => ({ value: each.path[1]!, about: summaryOf(each) }));
}

function only(candidates: readonly Candidate[]): Completion {
  return { candidates, directive: 'space' };
}
