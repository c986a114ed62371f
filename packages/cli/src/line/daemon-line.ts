import { parseArgs } from 'node:util';
import { DAEMON_FLAGS } from '../commands/daemon.js';
import type { DaemonFlags } from '../local-node.js';

/**
 * Reads the words after `swarm daemon` without yargs, the table of commands and a client: a daemon would
 * keep what they take (4 MB) as long as it runs.
 * @returns undefined if anything about the line is unusual; the full parser answers that
 */
export function daemonLine(words: readonly string[]): DaemonFlags | undefined {
  if (words.includes('--')) return undefined;
  let values: ReturnType<typeof parse>;
  try {
    values = parse(words);
  } catch {
    return undefined;
  }
  for (const [name, value] of Object.entries(values)) {
    const choices = DAEMON_FLAGS[name]?.choices;
    if (choices !== undefined && !choices.includes(String(value))) return undefined;
  }
  return { ...values };
}

function parse(words: readonly string[]) {
  const options = Object.entries(DAEMON_FLAGS).map(([name, { type }]) => [
    name,
    { type: 'string' as const, multiple: type === 'list' },
  ]);
  return parseArgs({ args: [...words], options: Object.fromEntries(options) }).values as Readonly<
    Record<string, string | string[]>
  >;
}
