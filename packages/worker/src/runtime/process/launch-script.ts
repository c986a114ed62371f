/**
 * The POSIX shell script that runs one task. Its shell is the task's supervisor: it outlives the daemon,
 * holds none of its pipes after the start, and writes the exit code to a file. It forks once, or twice if
 * the task has namespaces: the process in between is then pid 1 of the task, reaps orphans, and ends with
 * the task's first process. All of them run shell builtins only; `mount` is the one program they run besides
 * the chain of exec calls that ends in the task's command.
 *
 * Nothing runs in the background: a shell without job control would make it ignore SIGINT and SIGQUIT, and
 * the task would inherit that.
 */

/** Exit code of a task whose preparation inside the script failed (as Docker's daemon errors). */
export const SETUP_FAILED_CODE = 125;

/**
 * File descriptors that the shell starts with, besides stdin and stdout; stdout is the task's. It reads its
 * scripts from two of them: where they run, the task's folder is hidden.
 */
export const SCRIPT_FDS = {
  failure: 2,
  started: 3,
  stderr: 4,
  pids: 5,
  exit: 6,
  script: 8,
  entry: 9,
} as const;
/** The script's own copy of `failure`, away from what shells print about killed processes. */
const OWN_FAILURE_FD = 7;

export interface LaunchPlan {
  /** `cgroup.procs` files that the task writes itself into; the supervisor stays outside, or killing the
   * cgroup would kill it too, and the exit code would be lost. */
  readonly cgroupFiles: readonly string[];
  readonly oomScoreAdj?: number;
  /** Own host name, set in the task's UTS namespace. */
  readonly hostname?: string;
  /** Allows everybody to listen on ports below 1024; only in a network namespace of the task's own. */
  readonly opensLowPorts: boolean;
  /** Whether the script starts in the task's namespaces, where its child is pid 1. */
  readonly isolated: boolean;
  /** Makes the task's own mounts, as a command with arguments; empty if it has none. */
  readonly mount: readonly string[];
  /** Files that the task has in place of the host's; each is a text and its path, and mounted by a command. */
  readonly files: {
    /** Makes the folder that they are in. */
    readonly hold: readonly string[];
    readonly each: readonly {
      readonly path: string;
      readonly text: string;
      readonly mount: readonly string[];
    }[];
  };
  /** Programs that exec each other before the command: setsid, setpriv and the like. */
  readonly wrappers: readonly string[];
  readonly directory: string;
  readonly command: readonly string[];
}

/** Quotes a word for the shell. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_/.,:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Makes the script. The braces make the shell read all of it before it runs any of it. */
export function launchScript(plan: LaunchPlan): string {
  const { failure, started, stderr, pids, exit, script, entry } = SCRIPT_FDS;
  const inRoot = plan.directory === '/' && !plan.isolated;
  const command = plan.isolated
    ? byEntry(plan.directory, plan.command)
    : inRoot
      ? plan.command
      : inDirectory(plan.directory, plan.command);
  const close = [started, stderr, pids, exit, script, entry, ...(inRoot ? [OWN_FAILURE_FD] : [])];
  const redirections = plan.isolated ? `<&${entry} ` : '';
  const setUp = [
    ...plan.cgroupFiles.map(
      (path) => `echo 0 >${quote(path)} || fail ${quote(`could not enter ${path}`)}`,
    ),
    ...(plan.oomScoreAdj === undefined
      ? []
      : [
          `echo ${plan.oomScoreAdj} >/proc/self/oom_score_adj || fail 'the kernel rejected its OomScoreAdj'`,
        ]),
    ...(plan.hostname === undefined
      ? []
      : [
          // Writes the kernel's file instead of sethostname(2), which would need another program.
          `echo ${quote(plan.hostname)} >/proc/sys/kernel/hostname || fail 'could not set its host name'`,
        ]),
    ...(plan.opensLowPorts
      ? [
          "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start || fail 'the kernel does not give it ports below 1024'",
        ]
      : []),
  ];
  const first = [
    // Before /proc is mounted again: the daemon needs the number under which the host knows it.
    'read -r task </proc/self/stat',
    ...(plan.mount.length === 0
      ? []
      : [
          `${plan.mount.map(quote).join(' ')} >&${OWN_FAILURE_FD} 2>&1 || fail 'could not make its mounts'`,
        ]),
    ...ownFiles(plan.files),
    `printf '%s\\n%s\\n' "$task" "$self" >&${pids}`,
    // Nobody may be listening any more: the daemon can be gone.
    `trap '' PIPE; echo started >&${started}; trap - PIPE`,
    `exec ${[...plan.wrappers, ...command].map(quote).join(' ')} ${redirections}2>&${stderr} ${close.map((fd) => `${fd}>&-`).join(' ')}`,
  ];
  const lines = [
    '{',
    `exec ${OWN_FAILURE_FD}>&${failure} 2>/dev/null`,
    // The daemon's own umask may be stricter.
    'umask 022',
    `fail() { echo "$1" >&${OWN_FAILURE_FD}; exit ${SETUP_FAILED_CODE}; }`,
    'read -r self </proc/$$/stat',
    '(',
    ...setUp,
    ...(plan.isolated ? ['(', ...first, ')', 'exit $?'] : first),
    ')',
    `echo $? >&${exit}`,
    'exit',
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

function ownFiles({ hold, each }: LaunchPlan['files']): string[] {
  const run = (command: readonly string[], failure: string): string =>
    `${command.map(quote).join(' ')} >&${OWN_FAILURE_FD} 2>&1 || fail ${quote(failure)}`;
  if (hold.length === 0) return [];
  return [
    run(hold, 'could not make its files'),
    ...each.flatMap(({ path, text, mount }) => [
      `printf %s ${quote(text)} >${quote(path)} || fail ${quote(`could not write ${path}`)}`,
      run(mount, `could not mount ${path}`),
    ]),
  ];
}

/** Runs a command in its working directory. Also closes the script's last descriptor. */
function inDirectory(directory: string, command: readonly string[]): string[] {
  return ['/bin/sh', '-c', enterAndExecute(''), 'sh', directory, ...command];
}

/**
 * The command as started by its {@link entryScript}, which a shell reads from its standard input: that
 * needs no right to open a file.
 */
function byEntry(directory: string, command: readonly string[]): string[] {
  return ['/bin/sh', '-s', '--', directory, ...command];
}

/**
 * The first code that runs with the rights of the task's user. It sets the task's variables: the programs
 * before it run with root's rights, and variables like LD_PRELOAD would make them run whatever the task
 * likes. It enters the directory: root's rights would lead into folders that are closed to the user, and
 * setpriv(1) still has them when it executes a program.
 */
export function entryScript(env: Readonly<Record<string, string>>): string {
  const lines = Object.entries(env)
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
    // A shell may reserve some, like UID; `command` keeps that from ending it.
    .map(([name, value]) => `command export ${name}=${quote(value)} 2>/dev/null || :`);
  return `${[...lines, enterAndExecute('</dev/null')].join('\n')}\n`;
}

function enterAndExecute(redirection: string): string {
  const fail = `echo "could not enter its working directory $1" >&${OWN_FAILURE_FD}; exit ${SETUP_FAILED_CODE}`;
  return `cd -- "$1" 2>/dev/null || { ${fail}; }; shift; exec "$@" ${redirection} ${OWN_FAILURE_FD}>&-`;
}

/** A script that runs one health check among the task's processes. */
export function probeScript(plan: {
  readonly cgroupFiles: readonly string[];
  /** Programs that exec each other before the check: nsenter, setpriv and the like. */
  readonly wrappers: readonly string[];
  readonly directory: string;
  readonly command: readonly string[];
  /** Path of the {@link entryScript}. */
  readonly entry: string;
}): string {
  const command = [...plan.wrappers, ...byEntry(plan.directory, plan.command)];
  return [
    // The daemon's own is 077; the task's processes have this one.
    'umask 022',
    ...plan.cgroupFiles.map((path) => `echo 0 >${quote(path)} || exit ${SETUP_FAILED_CODE}`),
    `exec ${command.map(quote).join(' ')} <${quote(plan.entry)}`,
    '',
  ].join('\n');
}
