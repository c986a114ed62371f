import { quickAnswer } from './line/quick.js';
import { createOutput, type Output } from './output/output.js';

/** The word that the scripts of shells ask with; it is no command of people's. */
const COMPLETE = '__complete';

/**
 * Runs one command line; returns the exit code. Never throws. What a line needs is only loaded when the
 * line asks for it: most of the time that a short command takes goes into loading.
 */
export async function main(argv: readonly string[], given?: Output): Promise<number> {
  const output = given ?? terminal();
  try {
    const uid = process.getuid?.() ?? 0;
    const quick = quickAnswer(argv, process.env, uid);
    if (quick !== undefined) {
      output.line(quick);
      return 0;
    }
    if (argv[0] === COMPLETE) {
      await completeLine(argv.slice(1), output, uid);
      // The look-up of a name may go on, and the shell waits until this process is gone.
      if (given === undefined) process.exit(0);
      return 0;
    }
    const { dispatch } = await import('./line/dispatch.js');
    return await dispatch(argv, output);
  } catch (error) {
    const { explain } = await import('./explain.js');
    output.error(explain(error));
    return 1;
  } finally {
    output.end();
  }
}

async function completeLine(words: readonly string[], output: Output, uid: number): Promise<void> {
  const { answerShell } = await import('./completion/answer.js');
  const { daemonNames } = await import('./completion/daemon-names.js');
  await answerShell(words, output, daemonNames(process.env, uid));
}

function terminal(): Output {
  // A reader that goes away (a pager, `head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return createOutput(process.stdout, process.stderr, process.env);
}
