import type { Task } from '@swarm/api';
import type { NodeFacts } from './runtime.js';
import { RuntimeError } from './runtime-error.js';
import { expandTemplate } from './task-template.js';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SHORT_ID_LENGTH = 12;

/** The hostname that a task asks for, with placeholders expanded; undefined if it asks for none. */
export function taskHostname(task: Task, node: NodeFacts): string | undefined {
  const wanted = task.Spec.ContainerSpec?.Hostname;
  if (wanted === undefined || wanted === '') return undefined;
  const hostname = expandTemplate(wanted, 'ContainerSpec.Hostname', task, node);
  if (hostname.length > 63 || !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(hostname)) {
    throw new RuntimeError(
      'rejected',
      `ContainerSpec.Hostname is "${hostname}", which is not a host name; use at most 63 letters, digits, dots and dashes.`,
    );
  }
  return hostname;
}

/**
 * A task's environment, as Docker builds it: PATH, HOSTNAME, HOME, the runtime's additions, then the spec's
 * variables, which win. `NAME` without `=` unsets a variable.
 */
export function taskEnvironment(
  task: Task,
  node: NodeFacts,
  extra: Readonly<Record<string, string>>,
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOSTNAME: taskHostname(task, node) ?? task.ID.slice(0, SHORT_ID_LENGTH),
    ...extra,
  };
  for (const entry of task.Spec.ContainerSpec?.Env ?? []) {
    const at = entry.indexOf('=');
    if (at === 0 || entry === '' || entry.includes('\0')) {
      throw new RuntimeError(
        'rejected',
        `ContainerSpec.Env has "${entry}", which is not of the form NAME=value.`,
      );
    }
    if (at < 0) delete env[entry];
    else
      env[entry.slice(0, at)] = expandTemplate(
        entry.slice(at + 1),
        'ContainerSpec.Env',
        task,
        node,
      );
  }
  return env;
}
