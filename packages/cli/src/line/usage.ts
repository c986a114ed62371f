import type { Command } from '../command.js';

/** The line that shows how to call a command. */
export function usageLine(command: Command): string {
  return `Usage: swarm ${command.path.join(' ')} ${command.usage}`.trimEnd();
}

/** The end of an error about a command line. */
export function usageOf(command: Command): string {
  return `${usageLine(command)}\nRun 'swarm ${command.path.join(' ')} --help' for more.`;
}

/** The first sentence of a command's description. */
export function summaryOf({ about }: Command): string {
  return about.split('. ')[0]!.replace(/\.$/, '');
}
