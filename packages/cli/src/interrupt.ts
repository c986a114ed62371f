/** Where signals arrive: the process; tests pass an emitter of their own. */
export interface SignalSource {
  on(signal: string, listener: (signal: string) => void): unknown;
  off(signal: string, listener: (signal: string) => void): unknown;
}

/** Exit codes as shells know them: 128 and the signal's number. */
const CODES: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };

/**
 * Waits for work until the user interrupts it. A second signal ends the process at once.
 * @param stop called on the signal: ends the work, and says what goes on without it
 * @returns what the work returns, or the exit code of a process that the signal ended
 */
export async function interruptible(
  source: SignalSource,
  work: Promise<number>,
  stop: () => void,
): Promise<number> {
  const names = Object.keys(CODES);
  let interrupt: (signal: string) => void = () => {};
  const interrupted = new Promise<number>((resolve) => {
    interrupt = (signal) => {
      release();
      stop();
      resolve(CODES[signal] ?? 1);
    };
  });
  const release = () => {
    for (const name of names) source.off(name, interrupt);
  };
  for (const name of names) source.on(name, interrupt);
  // Work that was stopped may end in any way.
  work.catch(() => {});
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    release();
  }
}
