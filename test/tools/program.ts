export interface Program<Options> {
  readonly usage: string;
  /** @returns undefined if the user asked for help. @throws Error saying what is wrong with the arguments */
  read(args: string[]): Options | undefined;
  /** @param signal aborted on a signal: finish in order. @returns the exit code */
  run(options: Options, signal: AbortSignal): Promise<number>;
}

/** Runs a program that signals can stop. @returns its exit code; 2 if its arguments are wrong */
export async function runProgram<Options>(program: Program<Options>): Promise<number> {
  let options: Options | undefined;
  try {
    options = program.read(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${program.usage}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(program.usage);
    return 0;
  }
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort(new Error('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return program.run(options, interrupt.signal);
}
