import type { ProbeProgram } from './health-probe.js';
import { shellProgram } from './launch-calls.js';
import { entryScript, probeScript } from './launch-script.js';
import { parentOf, type ProcessIdentity } from './proc.js';
import type { ProcessHost } from './process-host.js';
import { PROBE_NAME, type TaskFolder, type TaskManifest } from './task-folder.js';

/**
 * Writes the program of a task's health check, which runs among the task's processes.
 * @param process the task's first process
 */
export function writeProbe(
  manifest: TaskManifest,
  process: ProcessIdentity,
  folder: TaskFolder,
  host: ProcessHost,
): ProbeProgram {
  const { health, env, wrappers, directory, cgroupFiles } = manifest;
  const test = health?.Test ?? [];
  const command = test[0] === 'CMD' ? test.slice(1) : ['/bin/sh', '-c', test.slice(1).join(' ')];
  const script = folder.writeScript(
    'probe.sh',
    probeScript({
      cgroupFiles,
      wrappers: [...entering(manifest, process, host), ...wrappers],
      directory,
      command,
      entry: folder.writeScript('probe-entry.sh', entryScript(env)),
    }),
  );
  return host.usesCalls
    ? { path: folder.writeProgram(shellProgram(script), PROBE_NAME), isScript: false }
    : { path: script, isScript: true };
}

/** The command that enters the task's namespaces, to be followed by another one. */
function entering(
  { isolated, netns, hostname }: TaskManifest,
  process: ProcessIdentity,
  { namespaces, tools }: ProcessHost,
): string[] {
  const options: string[] = [];
  if (isolated === true) {
    // Those of its pid 1, which is root's: the command may have made its own namespaces, where it decides what
    // root's programs are.
    options.push(`--target=${parentOf(process)}`);
    options.push('--mount', '--pid', '--ipc', '--net', '--uts');
  } else {
    // An earlier version started it, with only these.
    if (netns !== undefined) options.push(`--net=${namespaces.path(netns)}`);
    if (hostname !== undefined) options.push(`--uts=/proc/${process.pid}/ns/uts`);
  }
  return options.length === 0 ? [] : [tools.path('nsenter', 'util-linux'), ...options, '--'];
}
