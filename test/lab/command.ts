import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

const DEFAULT_TIMEOUT_MS = 60_000 * Math.max(1, Number(process.env.SWARM_TEST_PATIENCE) || 1);

/** Runs a program to its end. Never rejects for a non-zero exit; see {@link must}. */
export function run(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = start(command, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (timedOut)
        stderr += `\n(killed: not finished within ${options.timeoutMs ?? DEFAULT_TIMEOUT_MS} ms)`;
      resolve({ code: code ?? (signal === null ? 1 : 128), stdout, stderr });
    });
    child.stdin?.on('error', () => {
      // The program closed its input early; its exit code explains why.
    });
    child.stdin?.end(options.input ?? '');
  });
}

/** Runs a program that must succeed; returns its output. */
export async function must(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const result = await run(command, options);
  if (result.code !== 0) {
    throw new Error(
      `${command.join(' ')} failed with ${result.code}: ${result.stderr.trim() || result.stdout.trim()}`,
    );
  }
  return result.stdout;
}

export function start(command: readonly string[], options: SpawnOptions): ChildProcess {
  const [program, ...args] = command;
  if (program === undefined) throw new Error('the command is empty');
  return spawn(program, args, options);
}
