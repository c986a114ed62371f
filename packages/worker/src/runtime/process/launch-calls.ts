import { readFileSync } from 'node:fs';
import { CAPABILITY_NAMES, capabilityName, checkLimit, LIMIT_NAMES } from '@swarm/api';
import { refused } from '../spec-refusal.js';
import { RuntimeError } from '../runtime-error.js';
import {
  type Call,
  type CallArgument,
  type CallKind,
  callProgram,
  closeInherited,
  EXIT_FD,
  FAILURE_FD,
} from './call-program.js';
import type { HostUser } from './host-user.js';
import type { TaskFiles, TaskMount } from './host-view.js';
import { SCRIPT_FDS } from './launch-script.js';

/** System calls of x86_64 (syscall(2)); other machines do not use such programs. */
const NR = {
  read: 0,
  write: 1,
  close: 3,
  sendto: 44,
  fork: 57,
  execve: 59,
  fcntl: 72,
  chdir: 80,
  fchown: 93,
  umask: 95,
  setsid: 112,
  setgroups: 116,
  setresuid: 117,
  setresgid: 119,
  capset: 126,
  prctl: 157,
  mount: 165,
  sethostname: 170,
  openat: 257,
  unshare: 272,
  dup3: 292,
  prlimit64: 302,
  keyctl: 250,
  setns: 308,
} as const;

const AT_FDCWD = -100;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;
const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MSG_NOSIGNAL = 0x4000;
const KEYCTL_JOIN_SESSION_KEYRING = 1;
const CLONE_NEWNS = 0x2_0000;
const CLONE_NEWUTS = 0x400_0000;
const CLONE_NEWIPC = 0x800_0000;
const CLONE_NEWPID = 0x2000_0000;
const CLONE_NEWNET = 0x4000_0000;
const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
/** `_LINUX_CAPABILITY_VERSION_3`: 64 bits in two halves (capset(2)). */
const CAPABILITY_VERSION = 0x2008_0522;
/** A line of `/proc/PID/stat` is shorter; the rest of the buffer stays zero. */
const STAT_BYTES = 1024;

/** What a task starts with. */
export interface LaunchCallsPlan {
  /** Files that the program creates or appends to. */
  readonly files: {
    readonly stdout: string;
    readonly stderr: string;
    readonly pids: string;
    readonly exit: string;
  };
  /** Files of the namespaces in which the task starts, as the daemon sees them. */
  readonly viewPath: string;
  readonly netnsPath?: string;
  /** `cgroup.procs` files that the task's pid 1 enters; the supervisor stays outside. */
  readonly cgroupFiles: readonly string[];
  readonly oomScoreAdj?: number;
  readonly hostname?: string;
  readonly mounts: readonly TaskMount[];
  readonly ownFiles: TaskFiles | undefined;
  readonly ulimits: readonly {
    readonly Name: string;
    readonly Soft: number;
    readonly Hard: number;
  }[];
  readonly user: HostUser;
  readonly capabilityAdd: readonly string[];
  readonly capabilityDrop: readonly string[];
  readonly directory: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The highest capability that the kernel knows; see {@link lastCapability}. */
  readonly lastCapability: number;
}

/** The number of the highest capability that this kernel knows. */
export function lastCapability(): number {
  return Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'latin1'));
}

/** Makes a program that runs a shell script with only its standard input and output. */
export function shellProgram(script: string): Buffer {
  return callProgram([
    closeInherited(3),
    call('execute a shell', NR.execve, ['/bin/sh', ['/bin/sh', script], []]),
  ]);
}

/** Makes the program that is first a task's supervisor, then its pid 1, then the task. */
export function launchProgram(plan: LaunchCallsPlan): Buffer {
  const supervisor = Buffer.alloc(STAT_BYTES);
  return callProgram([
    closeInherited(SCRIPT_FDS.started + 1),
    ...supervise(plan, supervisor),
    ...surround(plan),
    ...settle(plan, supervisor),
    ...become(plan),
  ]);
}

function call(
  what: string,
  number: number,
  args: readonly CallArgument[],
  kind: CallKind = 'must',
): Call {
  return { number, args, kind, what };
}

/** The supervisor's part, in the host's namespaces; ends with the fork of pid 1. */
function supervise(plan: LaunchCallsPlan, stat: Buffer): Call[] {
  const namespaces: [path: string, flag: number, name: string][] = [];
  if (plan.netnsPath !== undefined)
    namespaces.push([plan.netnsPath, CLONE_NEWNET, 'network namespace']);
  namespaces.push([plan.viewPath, CLONE_NEWNS, "view of the host's files"]);
  // Files get the lowest free number.
  const first = FAILURE_FD + 1;
  const uts = plan.hostname === undefined ? 0 : CLONE_NEWUTS;
  return [
    ...openFiles(plan),
    ...readStat(stat, first),
    ...namespaces.map(([path, , name]) =>
      call(`open its ${name}`, NR.openat, [AT_FDCWD, path, O_CLOEXEC]),
    ),
    ...namespaces.map(([, flag, name], at) =>
      call(`enter its ${name}`, NR.setns, [first + at, flag]),
    ),
    ...namespaces.map((_each, at) => call('close a namespace', NR.close, [first + at])),
    call('make its namespaces', NR.unshare, [CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID | uts]),
    call('start its first process', NR.fork, [], 'fork'),
  ];
}

/**
 * Opens its files under their numbers. Happens here and not in the daemon, which a slow disk would block.
 * Standard input, output and error are already open, as is the pipe.
 */
function openFiles({ files, user }: LaunchCallsPlan): Call[] {
  const { started, stderr, pids, exit } = SCRIPT_FDS;
  const flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  const open = (what: string, path: string): Call =>
    call(what, NR.openat, [AT_FDCWD, path, flags, 0o600]);
  // Standard error's number is the lowest free one; the file of exit codes has it at first.
  return [
    open('open its exit code', files.exit),
    call('keep its failures', NR.dup3, [stderr, FAILURE_FD, O_CLOEXEC]),
    call('keep its exit code', NR.dup3, [stderr, exit, O_CLOEXEC]),
    call('close a file', NR.close, [stderr]),
    open('open its standard error', files.stderr),
    open('open its processes', files.pids),
    call('give it its standard error', NR.fchown, [stderr, user.uid, user.gid]),
    open('open its standard output', files.stdout),
    call('give it its standard output', NR.fchown, [FAILURE_FD + 1, user.uid, user.gid]),
    call('set its standard output', NR.dup3, [FAILURE_FD + 1, 1, 0]),
    call('close a file', NR.close, [FAILURE_FD + 1]),
    call('close its pipe later', NR.fcntl, [started, F_SETFD, FD_CLOEXEC]),
    call('check its files', NR.fcntl, [pids, F_GETFD]),
  ];
}

/** The part of pid 1: what all processes of the task share; ends with the fork of the task itself. */
function surround(plan: LaunchCallsPlan): Call[] {
  const calls = [
    // Only the supervisor reports the exit code. The next files get this number.
    call('close a file', NR.close, [EXIT_FD]),
    ...plan.cgroupFiles.flatMap((path) => writeFile(`enter the cgroup of ${path}`, path, '0')),
  ];
  if (plan.oomScoreAdj !== undefined)
    calls.push(
      ...writeFile('set its OomScoreAdj', '/proc/self/oom_score_adj', String(plan.oomScoreAdj)),
    );
  if (plan.hostname !== undefined)
    calls.push(
      call('set its host name', NR.sethostname, [plan.hostname, Buffer.byteLength(plan.hostname)]),
    );
  if (plan.netnsPath !== undefined)
    calls.push(
      ...writeFile(
        'open ports below 1024 to it',
        '/proc/sys/net/ipv4/ip_unprivileged_port_start',
        '0',
      ),
    );
  return [...calls, call('start its command', NR.fork, [], 'fork')];
}

/** The task's part, still with root's rights. */
function settle(plan: LaunchCallsPlan, supervisor: Buffer): Call[] {
  const own = Buffer.alloc(STAT_BYTES);
  const { started, pids } = SCRIPT_FDS;
  return [
    // Before /proc is mounted again: the daemon needs the number under which the host knows it.
    ...readStat(own, EXIT_FD),
    call('say who it is', NR.write, [pids, own, STAT_BYTES]),
    call('say who its supervisor is', NR.write, [pids, supervisor, STAT_BYTES]),
    ...plan.mounts.map(mountCall),
    ...ownFiles(plan.ownFiles),
    // Nobody may be listening any more: the daemon can be gone.
    call('say that it starts', NR.sendto, [started, 'started', 7, MSG_NOSIGNAL], 'may'),
    call('start a session', NR.setsid, []),
    ...plan.ulimits.map(({ Name, Soft, Hard }) => {
      const values = Buffer.alloc(16);
      values.writeBigInt64LE(BigInt(Soft), 0);
      values.writeBigInt64LE(BigInt(Hard), 8);
      return call(`set the limit ${Name}`, NR.prlimit64, [0, limitNumber(Name), values, 0]);
    }),
  ];
}

function mountCall({ source, target, type, flags, options }: TaskMount): Call {
  return call(`mount ${target}`, NR.mount, [source, target, type, flags, options]);
}

/** Writes files that the task has in place of the host's, and puts them there. */
function ownFiles(own: TaskFiles | undefined): Call[] {
  if (own === undefined) return [];
  return [
    mountCall(own.holder),
    // The daemon's own mode would close them to the task.
    call('set its file mode', NR.umask, [0o022]),
    ...own.files.flatMap(({ path, text, mount }) => {
      const bytes = Buffer.from(text);
      return [
        call(`make ${path}`, NR.openat, [AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644]),
        call(`write ${path}`, NR.write, [EXIT_FD, bytes, bytes.length]),
        call(`close ${path}`, NR.close, [EXIT_FD]),
        mountCall(mount),
      ];
    }),
  ];
}

/** Gives up root's rights and execs the task's command. */
function become(plan: LaunchCallsPlan): Call[] {
  const { uid, gid, groups } = plan.user;
  const all = Array.from({ length: plan.lastCapability + 1 }, (_each, number) => number);
  const numbersOf = (names: readonly string[]): Set<number> =>
    new Set(names.flatMap((name) => (capabilityName(name) === 'all' ? all : capability(name))));
  const added = numbersOf(plan.capabilityAdd);
  const dropped = numbersOf(plan.capabilityDrop);
  // A task of root keeps what is not dropped; any other user only keeps what is added.
  const kept = all.filter((number) => added.has(number) || (uid === 0 && !dropped.has(number)));
  const list = Buffer.alloc(Math.max(4, groups.length * 4));
  groups.forEach((group, at) => {
    list.writeUInt32LE(group, at * 4);
  });
  const bounded = all
    .filter((number) => !kept.includes(number))
    .map((number) => call('drop capabilities', NR.prctl, [PR_CAPBSET_DROP, number]));
  // The daemon's keyring may hold keys of root's login; a kernel without keys has nothing to leave. As root
  // first: a user that tasks share may already have as many keys as it can.
  const leaveKeys = call('leave keys', NR.keyctl, [KEYCTL_JOIN_SESSION_KEYRING, 0], 'may');
  const calls = [
    leaveKeys,
    ...bounded,
    call('leave the groups of root', NR.setgroups, [groups.length, list]),
    call('take its group', NR.setresgid, [gid, gid, gid]),
    ...(uid === 0 ? [] : [call('keep capabilities', NR.prctl, [PR_SET_KEEPCAPS, 1])]),
    call('take its user', NR.setresuid, [uid, uid, uid]),
  ];
  if (uid !== 0) {
    const header = Buffer.alloc(8);
    header.writeUInt32LE(CAPABILITY_VERSION, 0);
    calls.push(
      call('set its capabilities', NR.capset, [header, capabilitySets(kept)]),
      ...kept.map((number) =>
        call('add capabilities', NR.prctl, [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number]),
      ),
      call('forbid new privileges', NR.prctl, [PR_SET_NO_NEW_PRIVS, 1]),
    );
  }
  calls.push(leaveKeys);
  const [program = ''] = plan.command;
  const env = Object.entries(plan.env).map(([name, value]) => `${name}=${value}`);
  return [
    ...calls,
    call('set its file mode', NR.umask, [0o022]),
    call(`enter its working directory ${plan.directory}`, NR.chdir, [plan.directory]),
    call('open its standard error', NR.dup3, [SCRIPT_FDS.stderr, 2, 0]),
    call(`execute ${program}`, NR.execve, [program, plan.command, env]),
  ];
}

/** @param fd the number that the file gets: the lowest free one */
function readStat(into: Buffer, fd: number): Call[] {
  return [
    call('look at itself', NR.openat, [AT_FDCWD, '/proc/self/stat', O_CLOEXEC]),
    call('read who it is', NR.read, [fd, into, STAT_BYTES - 1]),
    call('close a file', NR.close, [fd]),
  ];
}

/** In pid 1, where EXIT_FD is the lowest free number. */
function writeFile(what: string, path: string, value: string): Call[] {
  return [
    call(what, NR.openat, [AT_FDCWD, path, O_WRONLY | O_CLOEXEC]),
    call(what, NR.write, [EXIT_FD, value, value.length]),
    call(what, NR.close, [EXIT_FD]),
  ];
}

/** Permitted, effective and inheritable sets of exactly these, for capset(2). */
function capabilitySets(numbers: readonly number[]): Buffer {
  const bits = numbers.reduce((sum, number) => sum | (1n << BigInt(number)), 0n);
  const sets = Buffer.alloc(24);
  for (const half of [0, 1]) {
    const word = Number((bits >> BigInt(32 * half)) & 0xffff_ffffn);
    for (const set of [0, 1, 2]) sets.writeUInt32LE(word, half * 12 + set * 4);
  }
  return sets;
}

function capability(name: string): number {
  const number = CAPABILITY_NAMES.indexOf(capabilityName(name));
  if (number >= 0) return number;
  throw new RuntimeError(
    'rejected',
    `"${name}" is not a capability; see capabilities(7) for names.`,
  );
}

/**
 * The kernel's number of a limit.
 * @throws RuntimeError `rejected` when no limit has that name
 */
export function limitNumber(name: string): number {
  refused(() => checkLimit(name));
  return LIMIT_NAMES.indexOf(name);
}
