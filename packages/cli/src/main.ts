import { VERSION } from '@swarm/api';
import { ApiClient } from './client/api-client.js';
import { resolveEndpoint } from './client/endpoint.js';
import { type Command, type CommandContext, UsageError } from './command.js';
import { BACKUP } from './commands/backup.js';
import { DAEMON } from './commands/daemon.js';
import { NODE_COMMANDS } from './commands/node.js';
import { RAFT_COMMANDS } from './commands/raft.js';
import { RESTORE } from './commands/restore.js';
import { SERVICE_COMMANDS } from './commands/service.js';
import { SWARM_COMMANDS } from './commands/swarm.js';
import { SYSTEM_COMMANDS } from './commands/system.js';
import { explain } from './explain.js';
import { globalFlags, parseArguments } from './parse.js';
import type { LocalNode } from './local-node.js';
import { createOutput, type Output } from './output/output.js';
import { table } from './output/table.js';

export const COMMANDS: readonly Command[] = [
  ...SWARM_COMMANDS,
  DAEMON,
  ...SYSTEM_COMMANDS,
  ...NODE_COMMANDS,
  ...SERVICE_COMMANDS,
  BACKUP,
  RESTORE,
  ...RAFT_COMMANDS,
];

/** Docker's commands that this version does not serve. */
const NOT_YET_COMMANDS = ['config', 'network', 'secret', 'stack', 'unlock', 'unlock-key'];

/** What a command line runs in. */
export interface MainOptions {
  /** Loads the node of this host, for the few commands that run it or read its files. */
  readonly node: () => Promise<LocalNode>;
  /** The terminal by default. */
  readonly output?: Output;
}

/** Runs one command line; returns the exit code. Never throws. */
export async function main(
  argv: readonly string[],
  { node, output = terminal() }: MainOptions,
): Promise<number> {
  try {
    return await dispatch(argv, node, output);
  } catch (error) {
    output.error(explain(error));
    return 1;
  } finally {
    output.end();
  }
}

async function dispatch(
  argv: readonly string[],
  node: () => Promise<LocalNode>,
  output: Output,
): Promise<number> {
  const { host, tlsVerify, rest } = leadingFlags(argv);
  const words = withoutSwarm(rest);
  if (words.length === 0 || words[0] === '--help' || words[0] === '-h' || words[0] === 'help') {
    output.line(overview());
    return 0;
  }
  if (words[0] === '--version' || words[0] === '-v') {
    output.line(`swarm version ${VERSION}`);
    return 0;
  }
  const command = COMMANDS.find((each) => each.path.every((word, i) => words[i] === word));
  if (command === undefined) {
    const group = COMMANDS.filter((each) => each.path.length > 1 && each.path[0] === words[0]);
    if (group.length > 0 && (words[1] === undefined || words[1] === '--help')) {
      output.line(list(group));
      return words[1] === undefined ? 1 : 0;
    }
    if (NOT_YET_COMMANDS.includes(words[0] ?? '')) {
      throw new UsageError(`'swarm ${words[0]}' is not supported yet.\nSee 'swarm --help'.`);
    }
    const given = group.length > 0 ? `${words[0]} ${words[1]}` : words[0];
    throw new UsageError(`swarm: '${given}' is not a swarm command.\nSee 'swarm --help'.`);
  }
  const args = parseArguments(command, words.slice(command.path.length), output.line);
  if (args === undefined) return 0;
  const uid = process.getuid?.() ?? 0;
  const globals = globalFlags(command);
  const own = Object.hasOwn(globals, 'host') ? args.string('host') : undefined;
  const verify = tlsVerify || (Object.hasOwn(globals, 'tlsverify') && args.boolean('tlsverify'));
  const given = own ?? host;
  const managerTls: LocalNode['managerTls'] = async (files) => (await node()).managerTls(files);
  const connect = () =>
    new ApiClient(resolveEndpoint(given, process.env, uid, verify), { uid, managerTls });
  // What stands in the environment is looked at when a command asks: `daemon` asks nobody.
  let client = given === undefined && !verify ? undefined : connect();
  const context: CommandContext = {
    ...{ args, output, node, env: process.env, uid },
    get client() {
      client ??= connect();
      return client;
    },
  };
  return (await command.run(context)) ?? 0;
}

/** `swarm swarm init` is taken for `swarm init`, for fingers used to Docker. */
function withoutSwarm(argv: readonly string[]): readonly string[] {
  return argv[0] === 'swarm' ? argv.slice(1) : argv;
}

/** The flags that say which daemon, before the command's own words. */
function leadingFlags(words: readonly string[]): {
  host: string | undefined;
  tlsVerify: boolean;
  rest: readonly string[];
} {
  let host: string | undefined;
  let tlsVerify = false;
  let at = 0;
  for (; ; at += 1) {
    const word = words[at];
    if ((word === '--host' || word === '-H') && words[at + 1] !== undefined) {
      at += 1;
      host = words[at];
    } else if (word?.startsWith('--host=') === true) host = word.slice('--host='.length);
    else if (word === '--tlsverify') tlsVerify = true;
    else return { host, tlsVerify, rest: words.slice(at) };
  }
}

function overview(): string {
  return `Usage: swarm [--host unix://PATH] COMMAND\n\nTurns Linux hosts into one cluster that runs services.\n\n${list(COMMANDS)}\n\nRun 'swarm COMMAND --help' for more on a command.`;
}

function list(commands: readonly Command[]): string {
  return table(
    ['COMMAND', ''],
    commands.map((command) => [command.path.join(' '), command.about]),
  );
}

function terminal(): Output {
  // A reader that goes away (a pager, `head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return createOutput(process.stdout, process.stderr);
}
