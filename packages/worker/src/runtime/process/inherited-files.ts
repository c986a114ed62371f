import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import type { IOType, StdioOptions } from 'node:child_process';

/** O_CLOEXEC of open(2), as `flags` of `/proc/PID/fdinfo/N` has it. */
const O_CLOEXEC = 0o2000000;
/** The first number that is not one of the standard ones. */
const FIRST_FD = 3;

type Stdio = readonly (IOType | number)[];

/**
 * Descriptors of this process that programs inherit which it starts. Node's own close at an exec; those
 * of LevelDB do not, and are open for writing.
 */
function inherited(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd >= FIRST_FD && !closesOnExec(fd));
}

function closesOnExec(fd: number): boolean {
  try {
    const flags = /^flags:\t([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
    return flags === null || (Number.parseInt(flags[1]!, 8) & O_CLOEXEC) !== 0;
  } catch {
    return true; // It is closed: that of the list itself.
  }
}

/**
 * Calls `spawn` with `stdio` in which /dev/null takes the place of every descriptor that is not in it and
 * would be inherited. Looks at all that this process has: where many programs start, one that closes
 * them itself costs less ({@link closeInherited}).
 */
export function withoutInherited<T>(stdio: Stdio, spawn: (stdio: StdioOptions) => T): T {
  const nothing = openSync('/dev/null', 'r+');
  try {
    const all: (IOType | number)[] = [...stdio];
    for (const fd of inherited()) {
      while (all.length <= fd) all.push('ignore');
      if (all[fd] === 'ignore') all[fd] = nothing;
    }
    return spawn(all);
  } finally {
    closeSync(nothing);
  }
}
