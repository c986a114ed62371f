import yargs from 'yargs';
import type { Command, Flag } from '../command.js';
import { CLUSTER_WORDS, COMMANDS, commandsOf, MANAGEMENT } from '../commands/commands.js';
import { FLAG_GROUPS } from '../flags/flag-help.js';
import { GLOBAL_FLAGS, globalFlags } from './global-flags.js';
import { summaryOf, usageLine } from './usage.js';

/** What the help calls the value of a flag that does not name it. */
const VALUE = { string: 'string', number: 'decimal', list: 'list', boolean: '' } as const;
const OPTIONS = 'Options';

/** `--help` of a command: usage, what it does, its flags by group and name, examples. */
export function commandHelp(command: Command, width: number): Promise<string> {
  const page = blank(width).usage(`${usageLine(command)}\n\n${command.about}`);
  const own = Object.entries(command.flags).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const group of [OPTIONS, ...FLAG_GROUPS])
    show(
      page,
      group,
      own.filter(([, flag]) => (flag.group ?? OPTIONS) === group),
    );
  show(page, 'Global Options', Object.entries(globalFlags(command)));
  for (const { line, about } of command.examples ?? []) page.example(`swarm ${line}`, about);
  return page.getHelp();
}

/** `swarm --help`. */
export async function overview(width: number): Promise<string> {
  const single = COMMANDS.filter((each) => each.path.length === 1);
  const isCluster = (each: Command) => CLUSTER_WORDS.includes(each.path[0]!);
  const options = blank(width);
  show(options, 'Global Options', [...Object.entries(GLOBAL_FLAGS), ['version', VERSION_FLAG]]);
  return [
    'Usage: swarm [OPTIONS] COMMAND',
    paragraph('Turns Linux hosts into one cluster that runs services.', width),
    section('Management Commands', Object.entries(MANAGEMENT), width),
    section('Cluster Commands', single.filter(isCluster).map(nameAndAbout), width),
    section(
      'Commands',
      [HELP, ...single.filter((each) => !isCluster(each)).map(nameAndAbout)],
      width,
    ),
    await options.getHelp(),
    paragraph("Run 'swarm COMMAND --help' for more on a command.", width),
  ].join('\n\n');
}

/** Served by the line itself: it has no entry in the table. */
const HELP = ['help', 'Show the help of a command'] as const;
const VERSION_FLAG: Flag = {
  type: 'boolean',
  short: 'v',
  about: 'show the version of the command',
};

/** `swarm service --help`. */
export function managementHelp(word: string, width: number): string {
  return [
    `Usage: swarm ${word} COMMAND`,
    MANAGEMENT[word],
    section('Commands', commandsOf(word).map(nameAndAbout), width),
    paragraph(`Run 'swarm ${word} COMMAND --help' for more on a command.`, width),
  ].join('\n\n');
}

/** A yargs that parses nothing and only lays out the page. */
function blank(width: number) {
  return yargs([])
    .scriptName('swarm')
    .detectLocale(false)
    .help(false)
    .version(false)
    .exitProcess(false)
    .wrap(width);
}

/**
 * Adds flags under a heading. yargs shows types in brackets at the far right; here the kind of value follows
 * the name, as in Docker's help, so it is part of the key.
 */
function show(
  page: ReturnType<typeof blank>,
  group: string,
  flags: readonly (readonly [string, Flag])[],
): void {
  for (const [name, flag] of flags) {
    const value = flag.value ?? VALUE[flag.type];
    page.option(`${name} ${value}`.trimEnd(), {
      ...(flag.short === undefined ? {} : { alias: flag.short }),
      group: `${group}:`,
      describe: flag.default === undefined ? flag.about : `${flag.about} (default ${flag.default})`,
    });
  }
}

function nameAndAbout(command: Command): readonly [string, string] {
  return [command.path.at(-1)!, summaryOf(command)];
}

const INDENT = 2;
const GAP = 3;
/** Minimum, however narrow the window: less would be unreadable. */
const ABOUT_MIN_WIDTH = 20;

/** Lists commands by name under a heading; wraps their descriptions in their own column. */
function section(
  heading: string,
  rows: readonly (readonly [string, string])[],
  width: number,
): string {
  const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
  const left = Math.max(...sorted.map(([name]) => name.length)) + INDENT + GAP;
  const lines = sorted.flatMap(([name, about]) =>
    wrapped(about, Math.max(ABOUT_MIN_WIDTH, width - left)).map(
      (part, at) => (at === 0 ? `${' '.repeat(INDENT)}${name}` : '').padEnd(left) + part,
    ),
  );
  return [`${heading}:`, ...lines].join('\n');
}

function paragraph(text: string, width: number): string {
  return wrapped(text, width).join('\n');
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
