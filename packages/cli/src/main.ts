import type { Input } from './command.js';
import { quickAnswer } from './line/quick.js';
import type { LocalNode } from './local-node.js';
import { createOutput, type Output } from './output/output.js';

/** The command of the shells' completion scripts; not for people. */
const COMPLETE = '__complete';

/** The environment of a command line. */
export interface MainOptions {
  /** Loads the node of this host, for the few commands that run it or read its files. */
  readonly node: () => Promise<LocalNode>;
  /** Default: the terminal. */
  readonly output?: Output;
  /** Default: standard input. */
  readonly input?: Input;
}

/**
 * Runs one command line; returns the exit code. Never throws. Loads only what the line needs: most of the
 * time of a short command goes into loading.
 */
export async function main(
  argv: readonly string[],
  { node, output: given, input }: MainOptions,
): Promise<number> {
  const output = given ?? terminal();
  try {
    const uid = process.getuid?.() ?? 0;
    const quick = quickAnswer(argv, process.env, uid);
    if (quick !== undefined) {
      output.line(quick);
      return 0;
    }
    if (argv[0] === COMPLETE) {
      await completeLine(argv.slice(1), node, output, uid);
      // Looking up a name may still be in progress, and the shell waits until this process exits.
      if (given === undefined) process.exit(0);
      return 0;
    }
    if (argv[0] === 'daemon') {
      const { daemonLine } = await import('./line/daemon-line.js');
      const flags = daemonLine(argv.slice(1));
      if (flags !== undefined) return await (await node()).runDaemon(flags, process.env, uid);
    }
    const { dispatch } = await import('./line/dispatch.js');
    return await dispatch(argv, { node, output, input });
  } catch (error) {
    const { explain } = await import('./explain.js');
    output.error(explain(error));
    return 1;
  } finally {
    output.end();
  }
}

async function completeLine(
  words: readonly string[],
  node: MainOptions['node'],
  output: Output,
  uid: number,
): Promise<void> {
  const { answerShell } = await import('./completion/answer.js');
  const managerTls: LocalNode['managerTls'] = async (files) => (await node()).managerTls(files);
  const { daemonNames } = await import('./completion/daemon-names.js');
  await answerShell(words, output, daemonNames(process.env, { uid, managerTls }));
}

function terminal(): Output {
  // A reader that goes away (a pager, `head`) is not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return createOutput(process.stdout, process.stderr, process.env);
}
