import type { CommandContext } from './command.js';

/**
 * Asks the user, if one is at the terminal, and takes anything but yes for no. A script has said what it wants.
 * @param question without the answers to choose from
 */
export async function isConfirmed(
  { input, output }: Pick<CommandContext, 'input' | 'output'>,
  question: string,
): Promise<boolean> {
  if (input.isTTY !== true) return true;
  const { createInterface } = await import('node:readline');
  output.error(`${question} [y/N]`);
  const lines = createInterface({ input, terminal: false });
  try {
    for await (const line of lines) return ['y', 'yes'].includes(line.trim().toLowerCase());
    return false;
  } finally {
    lines.close();
  }
}
