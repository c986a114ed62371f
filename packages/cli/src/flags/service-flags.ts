import type { Completes, Flags } from '../command.js';

/** Flags that mean the same on `service create` and `service update`. */
export const COMMON_SERVICE_FLAGS: Flags = {
  affinity: {
    type: 'string',
    about: 'lead each client to one task, by its address: client or none',
    choices: ['client', 'none'],
  },
  detach: {
    type: 'boolean',
    short: 'd',
    about: 'exit at once instead of waiting for the service to converge',
  },
  'endpoint-mode': {
    type: 'string',
    about: 'endpoint mode: vip or dnsrr',
    choices: ['vip', 'dnsrr'],
  },
  entrypoint: { type: 'string', about: "overwrite the image's ENTRYPOINT" },
  'health-cmd': { type: 'string', about: 'command that checks health' },
  'health-interval': { type: 'string', about: 'time between checks (ms|s|m|h)' },
  'health-retries': { type: 'string', about: 'failures in a row that mean unhealthy' },
  'health-start-interval': { type: 'string', about: 'time between checks during the start period' },
  'health-start-period': { type: 'string', about: 'time to start in which failures do not count' },
  'health-timeout': { type: 'string', about: 'longest time one check may take' },
  hostname: { type: 'string', about: 'container hostname' },
  init: {
    type: 'boolean',
    about: 'run an init inside the container that forwards signals and reaps processes',
  },
  'limit-cpu': { type: 'string', about: 'limit CPUs' },
  'limit-memory': { type: 'string', about: 'limit memory' },
  'limit-pids': { type: 'string', about: 'limit the number of processes (0: no limit)' },
  'log-driver': { type: 'string', about: 'logging driver' },
  'log-opt': { type: 'list', about: 'logging driver options' },
  'max-concurrent': { type: 'string', about: 'limit of tasks of a replicated job at once' },
  'no-healthcheck': { type: 'boolean', about: 'disable the health check of the image' },
  'no-resolve-image': {
    type: 'boolean',
    about: 'do not ask the registry for the digest and the platforms',
  },
  'oom-score-adj': { type: 'number', about: 'OOM score adjustment, -1000 to 1000' },
  quiet: { type: 'boolean', short: 'q', about: 'no progress output' },
  'revision-weight': {
    type: 'number',
    about: 'weight of a task of the new revision beside 100 of each other, 0 to 1000',
  },
  'traffic-policy': {
    type: 'string',
    about: 'tasks that a node leads clients to: cluster, local or prefer-local',
    choices: ['cluster', 'local', 'prefer-local'],
  },
  'read-only': { type: 'boolean', about: "mount the container's root read-only" },
  replicas: { type: 'string', about: 'number of tasks' },
  'replicas-max-per-node': { type: 'string', about: 'limit of tasks per node (0: no limit)' },
  'reserve-cpu': { type: 'string', about: 'reserve CPUs' },
  'reserve-memory': { type: 'string', about: 'reserve memory' },
  'restart-condition': {
    type: 'string',
    about: 'restart when: none, on-failure or any',
    choices: ['none', 'on-failure', 'any'],
    default: 'any',
  },
  'restart-delay': { type: 'string', about: 'delay between restarts', default: '5s' },
  'restart-max-attempts': { type: 'string', about: 'limit of restarts before giving up' },
  'restart-window': { type: 'string', about: 'window in which restarts are counted' },
  'rollback-delay': { type: 'string', about: 'delay between task rollbacks' },
  'rollback-failure-action': {
    type: 'string',
    about: 'on rollback failure: pause or continue',
    choices: ['pause', 'continue'],
    default: 'pause',
  },
  'rollback-max-failure-ratio': { type: 'number', about: 'failure rate to tolerate in a rollback' },
  'rollback-monitor': {
    type: 'string',
    about: 'time after each task rollback to watch for failure',
    default: '5s',
  },
  'rollback-order': {
    type: 'string',
    about: 'rollback order: start-first or stop-first',
    choices: ['start-first', 'stop-first'],
    default: 'stop-first',
  },
  'rollback-parallelism': {
    type: 'string',
    about: 'tasks rolled back at once (0: all)',
    default: '1',
  },
  'stop-grace-period': {
    type: 'string',
    about: 'time to wait before killing a task',
    default: '10s',
  },
  'stop-signal': { type: 'string', about: 'signal that stops the container' },
  tty: { type: 'boolean', short: 't', about: 'allocate a pseudo-TTY' },
  'update-delay': { type: 'string', about: 'delay between task updates' },
  'update-failure-action': {
    type: 'string',
    about: 'on update failure: pause, continue or rollback',
    choices: ['pause', 'continue', 'rollback'],
    default: 'pause',
  },
  'update-max-failure-ratio': { type: 'number', about: 'failure rate to tolerate in an update' },
  'update-monitor': {
    type: 'string',
    about: 'time after each task update to watch for failure',
    default: '5s',
  },
  'update-order': {
    type: 'string',
    about: 'update order: start-first or stop-first',
    choices: ['start-first', 'stop-first'],
    default: 'stop-first',
  },
  'update-parallelism': { type: 'string', about: 'tasks updated at once (0: all)', default: '1' },
  user: { type: 'string', short: 'u', about: 'user name or id (NAME|UID[:GROUP|GID])' },
  workdir: { type: 'string', short: 'w', about: 'working directory inside the container' },
};

/** Flags that take a list on create and have an `-add`/`-rm` pair on update. */
/** `--allow` of create and update. */
export const ALLOW_ABOUT =
  'who may connect to the tasks: SERVICE[:PORT], NETWORK[:PORT] or any[:PORT]; none for nobody, open for no rules';

export const LIST_FLAGS: Readonly<
  Record<
    string,
    { readonly about: string; readonly short?: string; readonly completes?: Completes }
  >
> = {
  'cap-add': { about: 'Linux capabilities to add' },
  'cap-drop': { about: 'Linux capabilities to drop' },
  constraint: { about: 'placement constraints' },
  'container-label': { about: 'container labels' },
  dns: { about: 'DNS servers' },
  'dns-option': { about: 'DNS options' },
  'dns-search': { about: 'DNS search domains' },
  env: { about: 'environment variables', short: 'e' },
  group: { about: 'supplementary user groups' },
  host: { about: 'host-to-address mappings (HOST:IP)' },
  label: { about: 'service labels', short: 'l' },
  mount: { about: 'filesystem mounts' },
  network: {
    about: 'network to attach to (NAME, or name=NAME,alias=…); host, none or bridge',
    completes: 'network',
  },
  'placement-pref': { about: 'placement preferences (spread=node.labels.X)' },
  publish: { about: 'ports to publish, with options and limits of each client', short: 'p' },
  sysctl: { about: 'sysctl options' },
  ulimit: { about: 'ulimit options (NAME=SOFT[:HARD])' },
};

/** Docker's flags that are not supported yet; refused by name. */
export const NOT_YET_FLAGS: readonly string[] = [
  ...['config', 'secret', 'generic-resource'].flatMap((name) => [
    name,
    `${name}-add`,
    `${name}-rm`,
  ]),
  'credential-spec',
  'isolation',
  'memory-swap',
  'memory-swappiness',
];
