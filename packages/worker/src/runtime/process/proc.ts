import { readdirSync, readFileSync } from 'node:fs';

/** A process that cannot be confused with a later one of the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot (proc(5), `stat` field 22). Set at fork, kept through exec. */
  readonly startTicks: number;
}

interface ProcessStat extends ProcessIdentity {
  readonly state: string;
  readonly parent: number;
  readonly session: number;
}

/** Parses a line of `/proc/PID/stat`; the command may contain blanks and parentheses. */
export function parseStat(line: string): ProcessStat | undefined {
  const close = line.lastIndexOf(')');
  const pid = Number.parseInt(line, 10);
  const fields = line.slice(close + 2).split(' ');
  const startTicks = Number(fields[19]);
  if (close < 0 || !Number.isSafeInteger(pid) || !Number.isSafeInteger(startTicks))
    return undefined;
  const [state = '', parent, , session] = fields;
  return { pid, startTicks, state, parent: Number(parent), session: Number(session) };
}

function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined; // It is gone.
  }
}

/** Whether exactly this process still runs; a zombie does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid);
  return stat?.startTicks === identity.startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

/** The parent of exactly this process; undefined if it is gone. */
export function parentOf(identity: ProcessIdentity): number | undefined {
  const stat = readStat(identity.pid);
  return stat?.startTicks === identity.startTicks ? stat.parent : undefined;
}

/** Identifies this boot of the kernel: process ids of another boot mean nothing. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

/** Sends a signal; false if the process is gone. */
export function sendSignal(pid: number, signal: number): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * Processes of a session, and those that left it but have `marker` in their environment. For hosts
 * without a cgroup.
 * @param session only while the number cannot be a stranger's
 */
export function findProcesses(session: number | undefined, marker: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid) || pid === process.pid) continue;
    const stat = readStat(pid);
    if (stat === undefined || stat.state === 'Z') continue;
    if (stat.session === session || hasInEnvironment(pid, marker)) found.push(pid);
  }
  return found;
}

function hasInEnvironment(pid: number, marker: string): boolean {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, 'latin1')}`.includes(`\0${marker}\0`);
  } catch {
    return false; // Not readable for us, or gone.
  }
}
