import type { CommandContext } from '../command.js';
import { explain } from '../explain.js';

/**
 * Does something for each name on the command line, in order. One that fails is reported, and the others are done all
 * the same.
 * @returns the exit code: 1 when one failed
 */
export async function forEachName(
  { args, output }: CommandContext,
  act: (name: string) => Promise<void>,
): Promise<number> {
  let code = 0;
  for (const name of args.positionals) {
    try {
      await act(name);
    } catch (error) {
      output.error(explain(error));
      code = 1;
    }
  }
  return code;
}
