import type {
  ContainerSpec,
  HealthConfig,
  Resources,
  RestartPolicy,
  TaskSpec,
  UpdateConfig,
} from '@swarm/api';
import { type Arguments, UsageError } from '../command.js';
import {
  parseBytes,
  parseCount,
  parseCpus,
  parseDuration,
  parsePairs,
  splitWords,
} from './values.js';

/** A copy of an object whose fields may be set. */
export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Applies the flags that mean the same on create and update to a container spec. */
export function applyContainerFlags(args: Arguments, container: Mutable<ContainerSpec>): void {
  const entrypoint = args.string('entrypoint');
  if (entrypoint !== undefined) container.Command = splitWords('entrypoint', entrypoint);
  const texts = {
    hostname: 'Hostname',
    'stop-signal': 'StopSignal',
    user: 'User',
    workdir: 'Dir',
  } as const;
  for (const [flag, field] of Object.entries(texts)) {
    const value = args.string(flag);
    if (value !== undefined) container[field] = value;
  }
  const score = args.number('oom-score-adj');
  if (score !== undefined) container.OomScoreAdj = score;
  if (args.has('init')) container.Init = args.boolean('init');
  if (args.has('tty')) container.TTY = args.boolean('tty');
  if (args.has('read-only')) container.ReadOnly = args.boolean('read-only');
  const grace = args.string('stop-grace-period');
  if (grace !== undefined) container.StopGracePeriod = parseDuration('stop-grace-period', grace);
  applyHealthFlags(args, container);
}

function applyHealthFlags(args: Arguments, container: Mutable<ContainerSpec>): void {
  const health: Mutable<HealthConfig> = { ...container.Healthcheck };
  let given = false;
  const command = args.string('health-cmd');
  if (command !== undefined) {
    health.Test = ['CMD-SHELL', command];
    given = true;
  }
  const times = {
    'health-interval': 'Interval',
    'health-timeout': 'Timeout',
    'health-start-period': 'StartPeriod',
    'health-start-interval': 'StartInterval',
  } as const;
  for (const [flag, field] of Object.entries(times)) {
    const value = args.string(flag);
    if (value === undefined) continue;
    health[field] = parseDuration(flag, value);
    given = true;
  }
  const retries = args.string('health-retries');
  if (retries !== undefined) {
    health.Retries = parseCount('health-retries', retries);
    given = true;
  }
  if (args.boolean('no-healthcheck')) {
    if (given) throw new UsageError('--no-healthcheck conflicts with --health-* options');
    container.Healthcheck = { Test: ['NONE'] };
  } else if (given) {
    container.Healthcheck = health;
  }
}

/** Applies resources, restart policy and log driver. */
export function applyTaskFlags(args: Arguments, task: Mutable<TaskSpec>): void {
  const resources = (
    kind: 'limit' | 'reserve',
    base: Resources | undefined,
  ): Mutable<Resources> | undefined => {
    const changed: Mutable<Resources> = { ...base };
    const cpu = args.string(`${kind}-cpu`);
    if (cpu !== undefined) changed.NanoCPUs = parseCpus(`${kind}-cpu`, cpu);
    const memory = args.string(`${kind}-memory`);
    if (memory !== undefined) changed.MemoryBytes = parseBytes(`${kind}-memory`, memory);
    return Object.keys(changed).length === 0 ? undefined : changed;
  };
  const limits: (Mutable<Resources> & { Pids?: number }) | undefined = resources(
    'limit',
    task.Resources?.Limits,
  );
  const pids = args.string('limit-pids');
  const Limits = pids === undefined ? limits : { ...limits, Pids: parseCount('limit-pids', pids) };
  const Reservations = resources('reserve', task.Resources?.Reservations);
  if (Limits !== undefined || Reservations !== undefined) {
    task.Resources = {
      ...(Limits === undefined ? {} : { Limits }),
      ...(Reservations === undefined ? {} : { Reservations }),
    };
  }
  const restart: Mutable<RestartPolicy> = { ...task.RestartPolicy };
  const condition = args.string('restart-condition');
  if (condition !== undefined)
    restart.Condition = oneOf('restart-condition', condition, ['none', 'on-failure', 'any']);
  const delay = args.string('restart-delay');
  if (delay !== undefined) restart.Delay = parseDuration('restart-delay', delay);
  const window = args.string('restart-window');
  if (window !== undefined) restart.Window = parseDuration('restart-window', window);
  const attempts = args.string('restart-max-attempts');
  if (attempts !== undefined) restart.MaxAttempts = parseCount('restart-max-attempts', attempts);
  if (Object.keys(restart).length > 0) task.RestartPolicy = restart;
  const driver = args.string('log-driver');
  const options = args.list('log-opt');
  if (driver !== undefined || options.length > 0) {
    task.LogDriver = {
      ...task.LogDriver,
      ...(driver === undefined ? {} : { Name: driver }),
      ...(options.length === 0 ? {} : { Options: parsePairs(options) }),
    };
  }
}

/** `--update-*` or `--rollback-*`; undefined if there are neither such flags nor an old value. */
export function updateConfig(
  args: Arguments,
  kind: 'update' | 'rollback',
  base: UpdateConfig | undefined,
): UpdateConfig | undefined {
  const config: Mutable<UpdateConfig> = { Parallelism: 1, ...base };
  let given = base !== undefined;
  const take = (name: string, set: (value: string, flag: string) => void) => {
    const flag = `${kind}-${name}`;
    const value = args.string(flag);
    if (value === undefined) return;
    given = true;
    set(value, flag);
  };
  take('parallelism', (value, flag) => {
    config.Parallelism = parseCount(flag, value);
  });
  take('delay', (value, flag) => {
    config.Delay = parseDuration(flag, value);
  });
  take('monitor', (value, flag) => {
    config.Monitor = parseDuration(flag, value);
  });
  take('max-failure-ratio', (_, flag) => {
    config.MaxFailureRatio = args.number(flag)!;
  });
  take('failure-action', (value, flag) => {
    config.FailureAction = oneOf(
      flag,
      value,
      kind === 'update' ? ['pause', 'continue', 'rollback'] : ['pause', 'continue'],
    );
  });
  take('order', (value, flag) => {
    config.Order = oneOf(flag, value, ['start-first', 'stop-first']);
  });
  return given ? config : undefined;
}

export function oneOf<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined)
    throw new UsageError(`invalid argument '${value}' for --${flag}: use ${allowed.join(', ')}`);
  return found;
}
