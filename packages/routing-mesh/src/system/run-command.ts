import { spawn } from 'node:child_process';
import { CommandError, type RunCommand } from '../kernel/command.js';
import { checkCommand } from '../kernel/words.js';

/** Output kept of a command; more than any of our listings. */
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;

/** The system's programs come first: npm's program folders have another `nft`. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * {@link RunCommand} with child processes, in this process's network namespace. Rejects with
 * UnsafeCommandError, and runs nothing, when something was not checked.
 */
export const runCommand: RunCommand = (program, args, input, limits = {}) =>
  new Promise((resolve, reject) => {
    checkCommand(program, args, input ?? '');
    const name = [program, ...args].join(' ');
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(limits.timeoutMs === undefined
        ? {}
        : { timeout: limits.timeoutMs, killSignal: 'SIGKILL' }),
      env: { ...process.env, PATH: `${SYSTEM_PATH}:${process.env.PATH ?? ''}` },
    });
    const outputBytes = limits.outputBytes ?? OUTPUT_LIMIT_BYTES;
    const out: Buffer[] = [];
    let size = 0;
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > outputBytes) child.kill('SIGKILL');
      else out.push(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < 8192) stderr += text;
    });
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        new CommandError(
          name,
          error.code === 'ENOENT' ? `${program} is not installed` : error.message,
          error.code,
        ),
      ),
    );
    child.on('close', (status, signal) => {
      if (size > outputBytes) reject(new CommandError(name, 'printed too much'));
      else if (status === 0) resolve(Buffer.concat(out).toString('utf8'));
      else if (signal !== null && stderr === '')
        reject(new CommandError(name, `ended by ${signal}`));
      else reject(new CommandError(name, stderr));
    });
    // A child that ends before it has read everything: its status says so.
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
  });
