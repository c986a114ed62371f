import { setTimeout as delay } from 'node:timers/promises';
import type { Service, ServiceMode, ServiceSpec, Task } from '@swarm/api';
import { DaemonError } from '../client/api-client.js';
import { create } from '../client/create.js';
import { networkNames } from '../client/network-names.js';
import { managersAt } from '../client/managers.js';
import { type Arguments, type Command, type CommandContext, UsageError } from '../command.js';
import { explain } from '../explain.js';
import { pinned } from '../flags/image-digest.js';
import { CREATE_FLAGS, createSpec } from '../flags/service-create.js';
import { NOT_YET_FLAGS } from '../flags/service-flags.js';
import { UPDATE_FLAGS, updateSpec } from '../flags/service-update.js';
import { filterMap } from '../output/filters.js';
import { type List, parseListFormat } from '../output/format.js';
import { INSPECT_FLAGS, inspectAll } from '../output/inspect.js';
import { prettyService } from '../output/pretty-service.js';
import { shown } from '../output/shown.js';
import { printTasks, TASK_LIST_FLAGS, shownPort } from '../output/tasks.js';
import { waitForService } from '../progress/wait.js';
import { isPaused, pausedLines } from '../progress/outcome.js';
import { HISTORY } from './service-history.js';
import { LOGS } from './service-logs.js';
import { forEachName } from './for-each.js';

const ID_WIDTH = 12;

const CREATE: Command = {
  path: ['service', 'create'],
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  about:
    'Create a service. With the image "host", the command is one of the host itself (process runtime).',
  flags: CREATE_FLAGS,
  notYet: NOT_YET_FLAGS,
  least: 1,
  stopAtPositional: true,
  examples: [
    {
      line: 'service create --name web --replicas 3 -p 8080:80 nginx:1',
      about: 'three tasks behind port 8080 of every node',
    },
    {
      line: 'service create --name web -p 8080:80 host node /srv/web/server.js',
      about: 'a command of the host, without Docker',
    },
    {
      line: 'service create --mode replicated-job --replicas 10 --max-concurrent 2 job:1',
      about: 'ten runs, two at a time',
    },
    {
      line: 'service create --mode global --constraint node.role==worker agent:1',
      about: 'one task on every worker',
    },
  ],
  async run(context) {
    const { args, client, output } = context;
    const auth = registryAuth(context);
    const { spec, warning } = await pinned(context, createSpec(args, context.env), auth);
    const reply = await create<{ ID: string; Warnings?: string[] | null }>({
      clients: await managersAt(client),
      ...{ path: '/services/create', body: spec, headers: auth },
      mention: (message) => output.error(`swarm: ${message}`),
      time: { now: () => performance.now(), pause: (ms) => delay(ms) },
    });
    if (warning !== undefined) output.error(warning);
    for (const each of reply.Warnings ?? []) output.error(each);
    output.line(reply.ID);
    return args.boolean('detach')
      ? 0
      : waitForService(client, reply.ID, output, { quiet: args.boolean('quiet') });
  },
};

const LIST: List = {
  name: 'service ls',
  fields: {
    ID: 'ID',
    Name: 'NAME',
    Mode: 'MODE',
    Replicas: 'REPLICAS',
    Image: 'IMAGE',
    Ports: 'PORTS',
  },
  raw: {
    all: 'id: {{.ID}}\\nname: {{.Name}}\\nmode: {{.Mode}}\\nreplicas: {{.Replicas}}\\nimage: {{.Image}}\\nports: {{.Ports}}\\n',
    quiet: 'id: {{.ID}}',
  },
};

const LS: Command = {
  path: ['service', 'ls'],
  usage: '[OPTIONS]',
  about: 'List services.',
  flags: {
    filter: { type: 'list', short: 'f', about: 'filter output by key=value' },
    format: { type: 'string', about: 'json, table, raw or a Go template' },
    quiet: { type: 'boolean', short: 'q', about: 'only show ids' },
  },
  least: 0,
  most: 0,
  async run({ args, client, output }) {
    const printer = await parseListFormat(args.string('format'), LIST, args.boolean('quiet'));
    const services = await client.get<Service[]>('/services', {
      status: true,
      filters: filterMap(args.list('filter')),
    });
    const sorted = [...services].sort((a, b) =>
      a.Spec.Name.localeCompare(b.Spec.Name, 'en', { numeric: true }),
    );
    if (printer.isQuiet) {
      for (const service of sorted) output.line(shown(service.ID.slice(0, ID_WIDTH)));
      return 0;
    }
    // Scripts compare the numbers; people see that an update is paused.
    const forPeople = printer.isDefaultTable;
    const rows = sorted.map((service) => ({
      ID: service.ID.slice(0, ID_WIDTH),
      Name: service.Spec.Name,
      Mode: modeName(service.Spec),
      Replicas: `${replicasText(service)}${forPeople ? pauseText(service) : ''}`,
      Image: (service.Spec.TaskTemplate.ContainerSpec?.Image ?? '').replace(
        /@sha256:[0-9a-f]+$/,
        '',
      ),
      Ports: (service.Endpoint.Ports ?? [])
        .filter((port) => port.PublishMode === 'ingress')
        .map(shownPort)
        .join(', '),
    }));
    printer.print(output, rows);
    return 0;
  },
};

const PS: Command = {
  path: ['service', 'ps'],
  usage: '[OPTIONS] SERVICE [SERVICE...]',
  about: 'List the tasks of one or more services.',
  flags: TASK_LIST_FLAGS,
  least: 1,
  completes: ['service'],
  examples: [
    { line: 'service ps web', about: 'where its tasks run, and what they are waiting for' },
    {
      line: 'service ps --no-trunc -f desired-state=running web',
      about: 'in full, without history',
    },
  ],
  async run(context) {
    const { args, client } = context;
    const services: Service[] = [];
    const read = async () => {
      for (const name of args.positionals)
        services.push(await client.get<Service>(`/services/${encodeURIComponent(name)}`));
      const ids = Object.fromEntries(services.map((service) => [service.ID, true as const]));
      return client.get<Task[]>('/tasks', {
        filters: { ...filterMap(args.list('filter')), service: ids },
      });
    };
    await printTasks(context, read, Date.now);
    if (args.boolean('quiet')) return 0;
    for (const service of services) {
      if (isPaused(service)) for (const line of pausedLines(service)) context.output.error(line);
    }
    return 0;
  },
};

const INSPECT: Command = {
  path: ['service', 'inspect'],
  usage: '[OPTIONS] SERVICE [SERVICE...]',
  about: 'Show the details of one or more services.',
  flags: INSPECT_FLAGS,
  least: 1,
  completes: ['service'],
  examples: [{ line: 'service inspect --pretty web', about: 'for people' }],
  run(context) {
    const names = new Map<string, string>();
    return inspectAll(context, {
      async read(name) {
        const { client, args } = context;
        const path = `/services/${encodeURIComponent(name)}`;
        const service = await client.get<Service>(path, { insertDefaults: true });
        if (args.boolean('pretty') || args.string('format') === 'pretty')
          for (const [id, each] of await networkNames(client, networksOf(service.Spec)))
            names.set(id, each);
        return service;
      },
      pretty: (service) => prettyService(service, Date.now(), names),
      type: async () => (await import('../output/types/service.js')).SERVICE,
    });
  },
};

function networksOf({ TaskTemplate }: ServiceSpec): readonly string[] {
  return (TaskTemplate.Networks ?? []).map(({ Target }) => Target);
}

const SCALE: Command = {
  path: ['service', 'scale'],
  usage: 'SERVICE=REPLICAS [SERVICE=REPLICAS...]',
  about: 'Scale one or more replicated services or jobs.',
  flags: {
    detach: {
      type: 'boolean',
      short: 'd',
      about: 'exit at once instead of waiting for the services to converge',
    },
    quiet: { type: 'boolean', short: 'q', about: 'no progress output' },
  },
  least: 1,
  completes: ['service='],
  examples: [{ line: 'service scale web=20 api=3', about: 'two services at once' }],
  async run({ args, client, output }) {
    const wanted = args.positionals.map((item) => {
      const match = /^(.+)=(\d+)$/.exec(item);
      if (match === null)
        throw new UsageError(`invalid scale specifier '${item}': use SERVICE=REPLICAS`);
      return { name: match[1]!, replicas: Number(match[2]) };
    });
    const scaled: string[] = [];
    let code = 0;
    for (const { name, replicas } of wanted) {
      try {
        scaled.push(
          await changeService(client, name, (spec) => ({
            ...spec,
            Mode: scaledMode(spec.Mode, replicas),
          })),
        );
        output.line(`${name} scaled to ${replicas}`);
      } catch (error) {
        output.error(`${name}: ${explain(error)}`);
        code = 1;
      }
    }
    if (!args.boolean('detach')) {
      const quiet = args.boolean('quiet');
      for (const id of scaled)
        code = Math.max(code, await waitForService(client, id, output, { quiet, asked: 'change' }));
    }
    return code;
  },
};

const UPDATE: Command = {
  path: ['service', 'update'],
  usage: '[OPTIONS] SERVICE',
  about: 'Update a service.',
  flags: UPDATE_FLAGS,
  notYet: NOT_YET_FLAGS,
  least: 1,
  most: 1,
  completes: ['service'],
  examples: [
    { line: 'service update --image nginx:2 web', about: 'a rolling update' },
    {
      line: 'service update --publish-add 8443:443 --env-rm DEBUG web',
      about: 'change parts of lists',
    },
    { line: 'service update --args "--level debug" web', about: 'new arguments' },
    { line: 'service update --rollback web', about: 'back to the previous specification' },
    { line: 'service update --resume web', about: 'go on with an update that is paused' },
  ],
  async run(context) {
    const { args, client, output } = context;
    const name = args.positionals[0]!;
    if (args.boolean('rollback')) {
      refuseBeside('rollback', args);
      return rollback(context, name);
    }
    if (args.boolean('resume')) {
      refuseBeside('resume', args);
      return resume(context, name);
    }
    const auth = registryAuth(context);
    let warning: string | undefined;
    const id = await changeService(
      client,
      name,
      async (old, service) => {
        const isAbout = args.has('network-add') || args.has('network-rm');
        const names = isAbout ? await networkNames(client, networksOf(old)) : new Map();
        const ports = service.Endpoint?.Ports ?? [];
        const spec = updateSpec(args, old, context.env, ports, names);
        if (!args.has('image')) return spec;
        const result = await pinned(context, spec, auth);
        warning = result.warning;
        return result.spec;
      },
      auth,
    );
    if (warning !== undefined) output.error(warning);
    output.line(name);
    const quiet = args.boolean('quiet');
    if (args.boolean('detach')) return 0;
    return waitForService(client, id, output, {
      quiet,
      asked: rollsOut(args) ? 'update' : 'change',
    });
  },
};

const ROLLBACK: Command = {
  path: ['service', 'rollback'],
  usage: '[OPTIONS] SERVICE',
  about:
    'Revert a service to the revision that completed last, or to any that it keeps. The number of replicas stays as it is.',
  flags: {
    to: {
      type: 'string',
      value: 'revision',
      about: 'number of the revision, as "service history" shows it',
    },
    detach: {
      type: 'boolean',
      short: 'd',
      about: 'exit at once instead of waiting for the service to converge',
    },
    quiet: { type: 'boolean', short: 'q', about: 'no progress output' },
  },
  least: 1,
  most: 1,
  completes: ['service'],
  examples: [
    { line: 'service rollback web', about: 'back to what worked before' },
    { line: 'service rollback --to 3 web', about: 'back to revision 3' },
  ],
  run: (context) => rollback(context, context.args.positionals[0]!),
};

const RM: Command = {
  path: ['service', 'rm'],
  usage: 'SERVICE [SERVICE...]',
  about: 'Remove one or more services.',
  flags: {},
  least: 1,
  completes: ['service'],
  run(context) {
    const { client, output } = context;
    return forEachName(context, async (name) => {
      await client.delete(`/services/${encodeURIComponent(name)}`);
      output.line(name);
    });
  },
};

export const SERVICE_COMMANDS: readonly Command[] = [
  CREATE,
  HISTORY,
  INSPECT,
  LOGS,
  LS,
  PS,
  RM,
  ROLLBACK,
  SCALE,
  UPDATE,
];

/** How often to try again when somebody else changed the service meanwhile. */
const CHANGE_ATTEMPTS = 5;

/** Reads a service's spec, changes it and writes it back; returns the service's id. */
async function changeService(
  client: CommandContext['client'],
  name: string,
  change: (spec: ServiceSpec, service: Service) => ServiceSpec | Promise<ServiceSpec>,
  headers: Record<string, string> = {},
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const service = await client.get<Service>(`/services/${encodeURIComponent(name)}`);
    const query = { version: service.Version.Index, registryAuthFrom: 'spec' };
    const spec = await change(service.Spec, service);
    try {
      await client.post(`/services/${service.ID}/update`, query, spec, headers);
      return service.ID;
    } catch (error) {
      const stale =
        error instanceof DaemonError && error.message.includes('update out of sequence');
      if (!stale || attempt === CHANGE_ATTEMPTS) throw error;
    }
  }
}

async function rollback(context: CommandContext, name: string): Promise<number> {
  const { args, client } = context;
  const service = await client.get<Service>(`/services/${encodeURIComponent(name)}`);
  const version = service.Version.Index;
  const to = args.string('to');
  if (to === undefined) {
    const query = { version, rollback: 'previous' };
    await client.post(`/services/${service.ID}/update`, query, service.Spec);
  } else {
    if (!/^[1-9]\d*$/.test(to))
      throw new UsageError(
        `--to ${to}: give the number of a revision, as "service history" shows it`,
      );
    await client.post(`/x/services/${service.ID}/rollback`, { version, to });
  }
  return await reportRollOut(context, service, true);
}

async function resume(context: CommandContext, name: string): Promise<number> {
  const { client } = context;
  const service = await client.get<Service>(`/services/${encodeURIComponent(name)}`);
  await client.post(`/x/services/${service.ID}/resume`, { version: service.Version.Index });
  return await reportRollOut(context, service, service.UpdateStatus?.State === 'rollback_paused');
}

function reportRollOut(
  { args, client, output }: CommandContext,
  { ID: id, Spec: { Name: name } }: Service,
  isBack: boolean,
): Promise<number> {
  output.line(name);
  if (args.boolean('detach')) return Promise.resolve(0);
  return waitForService(client, id, output, {
    quiet: args.boolean('quiet'),
    asked: isBack ? 'rollback' : 'update',
  });
}

/** Flags allowed together with `service update --rollback` or `--resume`. */
const BESIDE = ['detach', 'quiet', 'host'];

function refuseBeside(flag: 'rollback' | 'resume', args: Arguments): void {
  const other = Object.keys(UPDATE_FLAGS).find(
    (each) => each !== flag && !BESIDE.includes(each) && args.has(each),
  );
  if (other !== undefined)
    throw new UsageError(`other flags may not be combined with --${flag}: leave out --${other}`);
}

/** Flags of `service update` that replace no task: the command does not answer for a roll-out. */
const REPLACES_NONE = /^(replicas|label-(add|rm)|(update|rollback)-.*|detach|quiet|host)$/;

function rollsOut(args: Arguments): boolean {
  return Object.keys(UPDATE_FLAGS).some((flag) => args.has(flag) && !REPLACES_NONE.test(flag));
}

function scaledMode(mode: ServiceMode, replicas: number): ServiceMode {
  if (mode.Replicated !== undefined) return { Replicated: { Replicas: replicas } };
  if (mode.ReplicatedJob === undefined)
    throw new UsageError('scale can only be used with replicated or replicated-job mode');
  return { ReplicatedJob: { MaxConcurrent: replicas, TotalCompletions: replicas } };
}

/** Credentials of `docker login`, if the user asked to send them. */
function registryAuth({ args, env }: CommandContext): Record<string, string> {
  if (!args.boolean('with-registry-auth')) return {};
  const auth = env.SWARM_REGISTRY_AUTH;
  if (auth === undefined) {
    throw new UsageError(
      '--with-registry-auth: put the registry credentials (base64 JSON, as in X-Registry-Auth) in $SWARM_REGISTRY_AUTH',
    );
  }
  return { 'x-registry-auth': auth };
}

export function modeName(spec: ServiceSpec): string {
  if (spec.Mode.Global !== undefined) return 'global';
  if (spec.Mode.ReplicatedJob !== undefined) return 'replicated job';
  if (spec.Mode.GlobalJob !== undefined) return 'global job';
  return 'replicated';
}

function pauseText(service: Service): string {
  if (!isPaused(service)) return '';
  return service.UpdateStatus?.State === 'paused' ? ' (update paused)' : ' (rollback paused)';
}

function replicasText(service: Service): string {
  const status = service.ServiceStatus;
  if (status === undefined) return '';
  const most = service.Spec.TaskTemplate.Placement?.MaxReplicas ?? 0;
  const limit = most > 0 ? ` (max ${most} per node)` : '';
  const { ReplicatedJob: job, GlobalJob: globalJob } = service.Spec.Mode;
  if (job !== undefined || globalJob !== undefined) {
    const total =
      job === undefined ? status.DesiredTasks + status.CompletedTasks : (job.TotalCompletions ?? 1);
    return `${status.RunningTasks}/${status.DesiredTasks} (${status.CompletedTasks}/${total} completed)`;
  }
  return `${status.RunningTasks}/${status.DesiredTasks}${limit}`;
}
