import type { Command } from '../command.js';

/** The line that says how a command is called. */
export function usageLine(command: Command): string {
  return `Usage: swarm ${command.path.join(' ')} ${command.usage}`.trimEnd();
}

/** What an error about a command line ends with. */
export function usageOf(command: Command): string {
  return `${usageLine(command)}\nRun 'swarm ${command.path.join(' ')} --help' for more.`;
}

/** The first sentence of what a command does. */
export function summaryOf({ about }: Command): string {
  return about.split('. ')[0]!.replace(/\.$/, '');
}
