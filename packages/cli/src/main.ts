import { explain } from './explain.js';
import { createOutput, type Output } from './output/output.js';

/** Runs one command line; returns the exit code. Never throws. */
export async function main(argv: readonly string[], output: Output = terminal()): Promise<number> {
  try {
    // The table of commands, and what they need, only load when a line asks for them.
    const { dispatch } = await import('./line/dispatch.js');
    return await dispatch(argv, output);
  } catch (error) {
    output.error(explain(error));
    return 1;
  } finally {
    output.end();
  }
}

function terminal(): Output {
  // A reader that goes away (a pager, `head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return createOutput(process.stdout, process.stderr, process.env);
}
