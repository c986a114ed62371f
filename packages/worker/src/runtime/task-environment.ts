import { checkVariable, shortTaskId, type Task, wantedHostName } from '@swarm/api';
import type { NodeFacts } from './runtime.js';
import { refused } from './spec-refusal.js';
import { expandFor } from './task-template.js';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The hostname that a task asks for, with placeholders expanded; undefined if it asks for none. */
export function taskHostname(task: Task, node: NodeFacts): string | undefined {
  return refused(() => wantedHostName(task, node));
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
    HOSTNAME: taskHostname(task, node) ?? shortTaskId(task),
    ...extra,
  };
  for (const entry of task.Spec.ContainerSpec?.Env ?? []) {
    refused(() => checkVariable(entry));
    const at = entry.indexOf('=');
    if (at < 0) delete env[entry];
    else env[entry.slice(0, at)] = expandFor(entry.slice(at + 1), 'ContainerSpec.Env', task, node);
  }
  return env;
}
