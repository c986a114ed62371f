/** A command that ended with another status than 0. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly stderr: string;
  /** `ENOENT` when there is no such program. */
  readonly code: string | undefined;

  constructor(command: string, stderr: string, code?: string) {
    super(`${command}: ${stderr.trim() === '' ? 'failed' : stderr.trim()}`);
    this.stderr = stderr;
    this.code = code;
  }
}

/** Every program of the system that the mesh runs. */
export type Program = 'ip' | 'bridge' | 'nft' | 'conntrack' | 'nsenter';

/**
 * Runs a program; resolves with what it printed. Passed in where tests watch or replace it.
 * Arguments and input are made of checked values, see words.ts.
 */
export type RunCommand = (
  program: Program,
  args: readonly string[],
  input?: string,
) => Promise<string>;
