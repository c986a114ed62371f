import { ApiClient } from './client/api-client.js';
import { resolveEndpoint } from './client/endpoint.js';
import { type Command, UsageError } from './command.js';
import { BACKUP } from './commands/backup.js';
import { NODE_COMMANDS } from './commands/node.js';
import { RAFT_COMMANDS } from './commands/raft.js';
import { RESTORE } from './commands/restore.js';
import { SERVICE_COMMANDS } from './commands/service.js';
import { SWARM_COMMANDS } from './commands/swarm.js';
import { SYSTEM_COMMANDS } from './commands/system.js';
import { DAEMON } from './daemon/command.js';
import { explain } from './explain.js';
import { globalFlags, parseArguments } from './parse.js';
import { createOutput, type Output } from './output/output.js';
import { table } from './output/table.js';
import { VERSION } from './version.js';

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

/** Runs one command line; returns the exit code. Never throws. */
export async function main(argv: readonly string[], output: Output = terminal()): Promise<number> {
  try {
    return await dispatch(argv, output);
  } catch (error) {
    output.error(explain(error));
    return 1;
  } finally {
    output.end();
  }
}

async function dispatch(argv: readonly string[], output: Output): Promise<number> {
  const { host, rest } = leadingHost(argv);
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
  const own = Object.hasOwn(globalFlags(command), 'host') ? args.string('host') : undefined;
  const client = new ApiClient(resolveEndpoint(own ?? host, process.env, uid));
  return (await command.run({ args, client, output, env: process.env, uid })) ?? 0;
}

/** `swarm swarm init` is taken for `swarm init`, for fingers used to Docker. */
function withoutSwarm(argv: readonly string[]): readonly string[] {
  return argv[0] === 'swarm' ? argv.slice(1) : argv;
}

function leadingHost(words: readonly string[]): {
  host: string | undefined;
  rest: readonly string[];
} {
  if ((words[0] === '--host' || words[0] === '-H') && words[1] !== undefined)
    return { host: words[1], rest: words.slice(2) };
  if (words[0]?.startsWith('--host=') === true)
    return { host: words[0].slice('--host='.length), rest: words.slice(1) };
  return { host: undefined, rest: words };
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
