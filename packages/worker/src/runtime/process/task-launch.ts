import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { RuntimeError } from '../runtime-error.js';
import type { HostTools } from './host-tools.js';
import { taskFiles } from './host-view.js';
import { withoutInherited } from './inherited-files.js';
import { launchProgram } from './launch-calls.js';
import { entryScript, type LaunchPlan, launchScript, SCRIPT_FDS } from './launch-script.js';
import type { ProcessHost } from './process-host.js';
import { EXIT_NAME, PIDS_NAME, type TaskFolder, type TaskManifest } from './task-folder.js';

/** A program opens its files itself; the pipe is {@link SCRIPT_FDS}' `started`. */
const PROGRAM_STDIO = ['ignore', 'ignore', 'ignore', 'pipe'] as const;

/** Paths of a task's standard output and error. */
export interface LogPaths {
  readonly stdout: string;
  readonly stderr: string;
}

export interface LaunchedTask {
  readonly supervisor: ChildProcess;
  /** Whether it got as far as the task's command. */
  readonly started: boolean;
}

/** Starts a task's supervisor, which outlives the daemon; resolves once it starts the command or ends. */
export async function launchTask(
  manifest: TaskManifest,
  folder: TaskFolder,
  logs: LogPaths,
  host: ProcessHost,
): Promise<LaunchedTask> {
  const usesCalls = manifest.isolated === true && host.usesCalls;
  const [program, ...args] = usesCalls
    ? await programCommand(manifest, folder, logs, host)
    : await shellCommand(manifest, host);
  const files = usesCalls
    ? { stdio: PROGRAM_STDIO, close() {} }
    : folder.openFiles(script(manifest, host), entryScript(manifest.env), logs, manifest.user);
  let supervisor: ChildProcess;
  try {
    const options = {
      detached: true,
      cwd: '/',
      // A task's own variables must not reach programs that run with root's rights.
      env: manifest.isolated === true ? {} : { ...manifest.env },
    };
    supervisor = usesCalls
      ? spawn(program!, args, { ...options, stdio: [...files.stdio] })
      : withoutInherited(files.stdio, (stdio) => spawn(program!, args, { ...options, stdio }));
  } finally {
    files.close();
  }
  const pipe = supervisor.stdio[SCRIPT_FDS.started] as Readable;
  const started = await new Promise<boolean>((resolve, reject) => {
    supervisor.once('error', (error) =>
      reject(new RuntimeError('failed', `Could not start the task: ${error.message}.`)),
    );
    pipe.once('data', () => resolve(true));
    supervisor.once('exit', () => resolve(false));
  });
  pipe.destroy();
  supervisor.unref();
  return { supervisor, started };
}

/** The command line of a supervisor made of system calls; `ps` shows the task's id. */
async function programCommand(
  manifest: TaskManifest,
  folder: TaskFolder,
  logs: LogPaths,
  { view, namespaces, lastCapability }: ProcessHost,
): Promise<string[]> {
  const { netns, user, oomScoreAdj, hostname } = manifest;
  const program = launchProgram({
    files: { ...logs, pids: folder.file(PIDS_NAME), exit: folder.file(EXIT_NAME) },
    viewPath: await view.path(),
    ...(netns === undefined ? {} : { netnsPath: namespaces.path(netns) }),
    cgroupFiles: manifest.cgroupFiles,
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    ...(hostname === undefined ? {} : { hostname }),
    mounts: view.taskMounts(),
    ownFiles: taskFiles(manifest.files),
    ulimits: manifest.ulimits ?? [],
    user: user!,
    capabilityAdd: manifest.capabilityAdd ?? [],
    capabilityDrop: manifest.capabilityDrop ?? [],
    directory: manifest.directory,
    command: manifest.command,
    env: manifest.env,
    lastCapability,
  });
  return [folder.writeProgram(program), manifest.taskId];
}

function script(manifest: TaskManifest, { tools, view }: ProcessHost): string {
  const isolated = manifest.isolated === true;
  return launchScript({
    cgroupFiles: manifest.cgroupFiles,
    ...(manifest.oomScoreAdj === undefined ? {} : { oomScoreAdj: manifest.oomScoreAdj }),
    ...(manifest.hostname === undefined ? {} : { hostname: manifest.hostname }),
    opensLowPorts: isolated && manifest.netns !== undefined,
    isolated,
    mount: isolated ? view.taskMount() : [],
    files: isolated ? fileCommands(manifest, tools) : { hold: [], each: [] },
    wrappers: [tools.path('setsid', 'util-linux'), ...manifest.wrappers],
    directory: manifest.directory,
    command: manifest.command,
  });
}

/** The same with mount(8). */
function fileCommands({ files }: TaskManifest, tools: HostTools): LaunchPlan['files'] {
  const own = taskFiles(files);
  if (own === undefined) return { hold: [], each: [] };
  const mount = tools.path('mount', 'util-linux');
  const { source, target, options } = own.holder;
  return {
    hold: [mount, '-t', 'tmpfs', '-o', `nosuid,nodev,noexec,${options}`, source, target],
    each: own.files.map(({ path, text, mount: { target: place } }) => ({
      path,
      text,
      mount: [mount, '--bind', path, place],
    })),
  };
}

/** The command line of the supervisor: namespaces, then the shell; `ps` shows the task's id. */
async function shellCommand(
  { isolated, netns, hostname, taskId }: TaskManifest,
  { tools, view, namespaces }: ProcessHost,
): Promise<string[]> {
  const shell = ['/bin/sh', `/proc/self/fd/${SCRIPT_FDS.script}`, taskId];
  if (isolated !== true) return shell;
  return [
    tools.path('nsenter', 'util-linux'),
    `--mount=${await view.path()}`,
    ...(netns === undefined ? [] : [`--net=${namespaces.path(netns)}`]),
    '--',
    tools.path('unshare', 'util-linux'),
    ...['--mount', '--propagation', 'unchanged', '--ipc', '--pid'],
    ...(hostname === undefined ? [] : ['--uts']),
    '--',
    ...shell,
  ];
}
