import type { Output } from '../output/output.js';
import { complete, type LiveNames } from './complete.js';

/**
 * Answers a shell: one line per candidate, `VALUE TAB ABOUT`, then `:DIRECTIVE`.
 * @param words all words of the line without `swarm`, the one at the cursor last
 */
export async function answerShell(
  words: readonly string[],
  output: Output,
  names: LiveNames,
): Promise<void> {
  const { candidates, directive } = await complete(words, names);
  const lines = candidates.map(({ value, about }) => `${value}\t${about}\n`);
  output.write(`${lines.join('')}:${directive}\n`);
}
