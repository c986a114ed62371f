/** A command failed or could not run. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly stderr: string;
  /** `ENOENT` if there is no such program. */
  readonly code: string | undefined;

  constructor(command: string, stderr: string, code?: string) {
    super(`${command}: ${stderr.trim() === '' ? 'failed' : stderr.trim()}`);
    this.stderr = stderr;
    this.code = code;
  }
}

/** Every system program that the mesh runs. */
export type Program = 'ip' | 'bridge' | 'nft' | 'conntrack' | 'nsenter' | 'ss';

/** What a command may take; it fails and is killed beyond. */
export interface CommandLimits {
  readonly timeoutMs?: number;
  readonly outputBytes?: number;
}

/**
 * Runs a program; resolves with its output. Passed in, so that tests can watch or replace it.
 * Arguments and input consist of checked values, see words.ts.
 */
export type RunCommand = (
  program: Program,
  args: readonly string[],
  input?: string,
  limits?: CommandLimits,
) => Promise<string>;
