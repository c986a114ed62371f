import { explain } from './explain.js';
import { createOutput, type Output } from './output/output.js';

/** The word that the scripts of shells ask with; it is no command of people's. */
const COMPLETE = '__complete';

/** Runs one command line; returns the exit code. Never throws. */
export async function main(argv: readonly string[], given?: Output): Promise<number> {
  const output = given ?? terminal();
  try {
    if (argv[0] === COMPLETE) {
      await completeLine(argv.slice(1), output);
      // The look-up of a name may go on, and the shell waits until this process is gone.
      if (given === undefined) process.exit(0);
      return 0;
    }
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

async function completeLine(words: readonly string[], output: Output): Promise<void> {
  const { answerShell } = await import('./completion/answer.js');
  const { daemonNames } = await import('./completion/daemon-names.js');
  await answerShell(words, output, daemonNames(process.env, process.getuid?.() ?? 0));
}

function terminal(): Output {
  // A reader that goes away (a pager, `head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return createOutput(process.stdout, process.stderr, process.env);
}
