/**
 * The POSIX shell script that runs one task. It is the task's supervisor: it outlives the daemon, holds
 * no pipe of it after the start, and writes the exit code to a file. The shell runs builtins only, so a
 * task costs one spawn of the daemon, one fork, and one exec for each part of the chain it needs.
 */

/** Exit code of a task whose preparation inside the script failed (as Docker's daemon errors). */
export const SETUP_FAILED_CODE = 125;

export interface LaunchPlan {
  /** Task folder; the script writes `pids`, `exit` and `failure` in it. */
  readonly folder: string;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  /** `cgroup.procs` files the task writes itself into; the supervisor stays outside, or the kill of
   * the cgroup would take it along and the exit code with it. */
  readonly cgroupFiles: readonly string[];
  readonly oomScoreAdj?: number;
  readonly directory: string;
  /** Own host name, set inside a UTS namespace that `enter` makes. */
  readonly hostname?: string;
  /** Programs that exec each other before the command: setsid, nsenter, unshare. */
  readonly enter: readonly string[];
  /** Wrappers (user, limits) and the task's own command last. */
  readonly command: readonly string[];
}

/** Quotes a word for the shell. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_/.,:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Makes the script. The braces make the shell read all of it before it runs any. */
export function launchScript(plan: LaunchPlan): string {
  const file = (name: string): string => quote(`${plan.folder}/${name}`);
  const lines = [
    '{',
    'umask 077',
    `fail() { echo "$1" >${file('failure')}; exit ${SETUP_FAILED_CODE}; }`,
    '(',
    `exec >>${quote(plan.stdoutPath)} 2>>${quote(plan.stderrPath)}`,
    'umask 022',
    ...plan.cgroupFiles.map(
      (path) => `echo 0 >${quote(path)} || fail ${quote(`it could not enter ${path}`)}`,
    ),
    ...(plan.oomScoreAdj === undefined
      ? []
      : [
          `echo ${plan.oomScoreAdj} >/proc/self/oom_score_adj || fail 'the kernel refused its OomScoreAdj'`,
        ]),
    `cd ${quote(plan.directory)} || fail ${quote(`it could not enter its working directory ${plan.directory}`)}`,
    `exec ${chain(plan).map(quote).join(' ')}`,
    ') &',
    'pid=$!',
    // From here on nobody may listen: the daemon can be gone already.
    "trap '' PIPE",
    'read -r task </proc/$pid/stat',
    'read -r self </proc/$$/stat',
    `printf '%s\\n%s\\n' "$task" "$self" >${file('pids')}`,
    'echo started',
    'exec >/dev/null',
    'wait $pid',
    `echo $? >${file('exit')}`,
    'exit',
    '}',
    '',
  ];
  return lines.join('\n');
}

function chain(plan: LaunchPlan): string[] {
  if (plan.hostname === undefined) return [...plan.enter, ...plan.command];
  // The kernel's file stands for sethostname(2), so that no program has to be spawned for it.
  const name = `echo "$0" >/proc/sys/kernel/hostname && exec "$@"`;
  return [...plan.enter, '/bin/sh', '-c', name, plan.hostname, ...plan.command];
}

/** A script that runs one health check among the task's processes. */
export function probeScript(plan: {
  readonly cgroupFiles: readonly string[];
  readonly directory: string;
  readonly command: readonly string[];
}): string {
  return [
    // The daemon's own is 077; the task's processes have this one.
    'umask 022',
    ...plan.cgroupFiles.map((path) => `echo 0 >${quote(path)} || exit ${SETUP_FAILED_CODE}`),
    `cd ${quote(plan.directory)} || exit ${SETUP_FAILED_CODE}`,
    `exec ${plan.command.map(quote).join(' ')}`,
    '',
  ].join('\n');
}
