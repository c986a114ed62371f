import type { Arguments, Command } from '../../src/command.js';
import { SERVICE_COMMANDS } from '../../src/commands/service.js';
import { parseArguments } from '../../src/line/parse.js';

/** Arguments of a `service` command as its command line gives them. */
export function serviceArguments(word: string, argv: readonly string[]): Arguments {
  return parsed(SERVICE_COMMANDS.find((each) => each.path[1] === word)!, argv);
}

export function parsed(command: Command, argv: readonly string[]): Arguments {
  const args = parseArguments(command, argv);
  if (args === undefined) throw new Error('help was asked for');
  return args;
}
