import { PROGRAM } from '@swarm/api/client';
import { ApiClient } from '../client/api-client.js';
import { resolveEndpoint } from '../client/endpoint.js';
import { type Command, type CommandContext, type Input, UsageError } from '../command.js';
import {
  COMMANDS,
  commandsOf,
  findCommand,
  MANAGEMENT,
  NOT_YET_COMMANDS,
} from '../commands/commands.js';
import type { LocalNode } from '../local-node.js';
import type { Output } from '../output/output.js';
import { GLOBAL_FLAGS, globalFlags, leadingFlags } from './global-flags.js';
import { didYouMean, nearest } from './nearest.js';

const HELP = ['help', '--help', '-h'];

export interface DispatchOptions extends Pick<CommandContext, 'node' | 'output'> {
  /** Default: standard input. */
  readonly input?: Input | undefined;
}

/** Finds the command of a line and runs it; returns the exit code. */
export async function dispatch(
  argv: readonly string[],
  { node, output, input }: DispatchOptions,
): Promise<number> {
  const { host, tlsVerify, rest: words } = leadingFlags(argv);
  const [first, second] = words;
  if (first === '--version' || first === '-v') {
    output.line(`swarm version ${PROGRAM.Version}`);
    return 0;
  }
  if (first === '--host' || first === '-H')
    throw new UsageError(`flag needs an argument: ${first}\nSee 'swarm --help'.`);
  if (first === undefined) return incomplete([], output);
  if (HELP.includes(first)) return help(words.slice(1), output);
  const command = findCommand(words);
  if (command === undefined) {
    const isGroup = Object.hasOwn(MANAGEMENT, first);
    if (!isGroup || (second !== undefined && !HELP.includes(second))) throw unknown(words);
    if (second === undefined) return incomplete([first], output);
    return help(second === 'help' ? [first, ...words.slice(2)] : [first], output);
  }
  // Most of the time a command takes to start goes into yargs: only a line that is parsed loads it.
  const { parseArguments } = await import('./parse.js');
  const args = parseArguments(command, words.slice(command.path.length));
  if (args === undefined) return help(command.path, output);
  const globals = globalFlags(command);
  const own = Object.hasOwn(globals, 'host') ? args.string('host') : undefined;
  const verify = tlsVerify || (Object.hasOwn(globals, 'tlsverify') && args.boolean('tlsverify'));
  return (await command.run(contextOf(args, own ?? host, verify, { node, output, input }))) ?? 0;
}

function contextOf(
  args: CommandContext['args'],
  host: string | undefined,
  tlsVerify: boolean,
  { node, output, input }: DispatchOptions,
): CommandContext {
  const uid = process.getuid?.() ?? 0;
  const managerTls: LocalNode['managerTls'] = async (files) => (await node()).managerTls(files);
  const connect = () =>
    new ApiClient(resolveEndpoint(host, process.env, uid, tlsVerify), { uid, managerTls });
  // Reads the environment only when a command asks for the client: `daemon` never does.
  let client = host === undefined && !tlsVerify ? undefined : connect();
  return {
    ...{ args, output, node, env: process.env, uid, signals: process },
    get input() {
      return input ?? process.stdin;
    },
    get client() {
      client ??= connect();
      return client;
    },
  };
}

/** A line without a command: a script's mistake, so its usage is an error. */
async function incomplete(words: readonly string[], output: Output): Promise<number> {
  await help(words, { line: (text) => output.error(text), columns: output.columns });
  return 1;
}

/** `swarm help`, `swarm help service`, `swarm help service create`. */
async function help(
  words: readonly string[],
  output: Pick<Output, 'line' | 'columns'>,
): Promise<number> {
  const { commandHelp, managementHelp, overview } = await import('./help.js');
  const width = output.columns;
  const command: Command | undefined = words.length === 0 ? undefined : findCommand(words);
  if (words[0] === undefined) output.line(await overview(width));
  else if (command !== undefined) output.line(await commandHelp(command, width));
  else if (words[1] === undefined && Object.hasOwn(MANAGEMENT, words[0]))
    output.line(managementHelp(words[0], width));
  else throw unknown(words);
  return 0;
}

/** The first word that no command, and no flag before one, begins with. */
function unknown(words: readonly string[]): UsageError {
  const first = words[0]!;
  if (first.startsWith('-')) return unknownFlag(first, 'swarm --help');
  if (NOT_YET_COMMANDS.includes(first))
    return new UsageError(`'swarm ${first}' is not supported yet.\nSee 'swarm --help'.`);
  const group = commandsOf(first);
  const isGroup = group.length > 0;
  if (isGroup && words[1]!.startsWith('-')) return unknownFlag(words[1]!, `swarm ${first} --help`);
  const given = isGroup ? `${first} ${words[1]}` : first;
  const known = isGroup
    ? group.map((each) => each.path[1]!)
    : [...new Set([...COMMANDS.map((each) => each.path[0]!), ...NOT_YET_COMMANDS, 'help'])];
  const likely = nearest(isGroup ? words[1]! : first, known).map(
    (each) => `'swarm ${isGroup ? `${first} ` : ''}${each}'`,
  );
  const see = isGroup ? `swarm ${first} --help` : 'swarm --help';
  return new UsageError(
    `swarm: '${given}' is not a swarm command.${didYouMean(likely)}\nSee '${see}'.`,
  );
}

function unknownFlag(word: string, see: string): UsageError {
  const [flag] = word.split('=', 1);
  const known = [...Object.keys(GLOBAL_FLAGS), 'version'].map((name) => `--${name}`);
  // A flag of one letter is near every other one.
  const likely = flag!.startsWith('--') ? nearest(flag!, known) : [];
  return new UsageError(
    `unknown flag: ${flag}${didYouMean(likely.map((each) => `'${each}'`))}\nSee '${see}'.`,
  );
}
