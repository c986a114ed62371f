import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import type { IOType, StdioOptions } from 'node:child_process';

/** O_CLOEXEC of open(2), as in `flags` of `/proc/PID/fdinfo/N`. */
const O_CLOEXEC = 0o2000000;
/** The first descriptor after the standard ones. */
const FIRST_FD = 3;

type Stdio = readonly (IOType | number)[];

/**
 * Descriptors of this process that its child processes inherit. Node's own close on exec; those of LevelDB
 * do not, and are open for writing.
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
    return true; // Closed: the descriptor of the list itself.
  }
}

/**
 * Calls `spawn` with a `stdio` in which /dev/null replaces every descriptor that is not listed but would be
 * inherited. Looks at all descriptors of this process: where many programs start, one that closes them
 * itself costs less ({@link closeInherited}).
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
