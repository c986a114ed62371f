import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Clock } from '@swarm/api';
import type { ProbeResult } from '../health-monitor.js';
import { withoutInherited } from './inherited-files.js';
import { sendSignal } from './proc.js';

/** How much of a check's output the message keeps; Docker keeps 4096 bytes. */
const OUTPUT_LIMIT_BYTES = 4096;
/** A program that closes what it inherits, or a shell script. */
export interface ProbeProgram {
  readonly path: string;
  readonly isScript: boolean;
}

/** Longest wait for output after the check has exited. */
const OUTPUT_WAIT_MS = 200;
const SIGKILL = 9;

/**
 * Runs a program in its own session; kills that session after `timeoutMs`. The program starts without
 * variables and without the daemon's files, because it starts with the daemon's rights.
 * @param program execs the check in the task's environment
 */
export function runProbe(
  program: ProbeProgram,
  timeoutMs: number,
  clock: Clock,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const child = start(program);
    let output = '';
    let timedOut = false;
    const collect = (chunk: string): void => {
      output = (output + chunk).slice(0, OUTPUT_LIMIT_BYTES);
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    let timer = clock.setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) sendSignal(-child.pid, SIGKILL);
    }, timeoutMs);
    const finish = (result: ProbeResult): void => {
      clock.clearTimeout(timer);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(result);
    };
    child.on('error', (error) => finish({ healthy: false, output: error.message }));
    let code: number | null = null;
    const finishExited = (): void => {
      if (timedOut) finish({ healthy: false, output: `no result within ${timeoutMs} ms` });
      else finish({ healthy: code === 0, output });
    };
    child.on('exit', (exitCode) => {
      code = exitCode;
      // Output arrives until `close`, but something that the check left running may hold that up.
      clock.clearTimeout(timer);
      // After a stall of the daemon the timer is due before the output was read, which the next turn does.
      timer = clock.setTimeout(() => clock.setImmediate(finishExited), OUTPUT_WAIT_MS);
    });
    child.on('close', finishExited);
  });
}

function start(program: ProbeProgram): ChildProcessByStdio<null, Readable, Readable> {
  const options = { detached: true, env: {}, cwd: '/' } as const;
  if (!program.isScript)
    return spawn(program.path, [], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  return withoutInherited(['ignore', 'pipe', 'pipe'], (stdio) =>
    // The first three of it are unchanged.
    spawn('/bin/sh', [program.path], { ...options, stdio }),
  ) as ChildProcessByStdio<null, Readable, Readable>;
}
