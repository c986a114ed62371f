import {
  ApiError,
  type Cluster,
  featureLevelProblem,
  FIRST_FEATURE_LEVEL,
  PROGRAM,
  type Program,
} from '@swarm/api';
import type { Change } from './command.js';
import type { Kind } from './store.js';

/** A field that not every program of the cluster may know. */
export interface FieldLevel {
  readonly kind: Kind;
  /** Names from the object inwards, joined by dots; `[]` is each element of a list, `{}` each entry of a map. */
  readonly path: string;
  /** The level it came with. */
  readonly level: number;
  /**
   * Below that level: `omit` for what the cluster counts, observes or explains, `refuse` for what a user
   * asked for, who must hear that it does not happen.
   */
  readonly below: 'omit' | 'refuse';
}

/** The level that everything stored came with. What is in none of the tables is of the oldest level of PROGRAM. */
export interface FeatureLevels {
  readonly kinds: Readonly<Partial<Record<Kind, number>>>;
  readonly actions: Readonly<Partial<Record<Change['action'], number>>>;
  readonly fields: readonly FieldLevel[];
}

/** From here on users make networks: allocators of before give the virtual addresses of services to tasks. */
export const NETWORKS_LEVEL = 5;
/** From here on ports are led over IPv6 in the kernel, and have options. */
const INGRESS_OPTIONS_LEVEL = 5;

/** Options of published ports. They come to other objects only through a service's spec. */
const ENDPOINT_OPTIONS = [
  'Ports.[].HostIP',
  'Ports.[].ClientLimits',
  'Ports.[].ProxyProtocol',
  'Affinity',
  'TrafficPolicy',
  'RevisionWeight',
];

export const FEATURE_LEVELS: FeatureLevels = {
  kinds: {},
  actions: {},
  fields: [
    // A container's place on networks: managers of before send it to agents as a task to run.
    { kind: 'task', path: 'Spec.NetworkAttachmentSpec', level: 5, below: 'refuse' },
    // What nodes report. Without it, no node is looked at.
    { kind: 'node', path: 'Description.Paths', level: 5, below: 'omit' },
    // Without it, nothing leads to the node's tasks on encrypted networks.
    { kind: 'node', path: 'Description.Encryption', level: 5, below: 'omit' },
    // Without it a service is open to everybody.
    { kind: 'service', path: 'Spec.EndpointSpec.Allow', level: 5, below: 'refuse' },
    // Below, only the cluster itself makes networks, see NETWORKS_LEVEL.
    { kind: 'network', path: 'Creation', level: NETWORKS_LEVEL, below: 'omit' },
    // Without it the next leader makes the network again.
    { kind: 'cluster', path: 'IngressRemoved', level: NETWORKS_LEVEL, below: 'refuse' },
    { kind: 'cluster', path: 'IngressSubnet', level: NETWORKS_LEVEL, below: 'refuse' },
    // Below, the ingress network is known by its subnet, which is always the same.
    {
      kind: 'task',
      path: 'NetworksAttachments.[].Network.Spec.Ingress',
      level: NETWORKS_LEVEL,
      below: 'omit',
    },
    // What nodes report. Without it nodes lead no client to a task over IPv6: listeners serve those.
    { kind: 'task', path: 'Status.Ipv6', level: INGRESS_OPTIONS_LEVEL, below: 'omit' },
    {
      kind: 'node',
      path: 'Description.Ipv6Addresses',
      level: INGRESS_OPTIONS_LEVEL,
      below: 'omit',
    },
    // What users ask for, and earlier versions would not do.
    ...ENDPOINT_OPTIONS.map((name) => ({
      kind: 'service' as const,
      path: `Spec.EndpointSpec.${name}`,
      level: INGRESS_OPTIONS_LEVEL,
      below: 'refuse' as const,
    })),
  ],
};

/**
 * What is stored is of a level that this program does not run in: it stops. Whoever went on would come to
 * another state than the others, or lose what it does not know with the next write.
 */
export class FeatureLevelError extends Error {
  readonly code = 'STORE_FEATURE_LEVEL';
}

/**
 * The level of a cluster. Before there is one, that of the cluster which this program would make. What is not a
 * number was never written.
 */
export function levelOf(cluster: Pick<Cluster, 'FeatureLevel'> | undefined): number {
  if (cluster === undefined) return PROGRAM.FeatureLevel.Newest;
  const level: unknown = cluster.FeatureLevel;
  return typeof level === 'number' ? level : FIRST_FEATURE_LEVEL;
}

/** @throws FeatureLevelError when the program does not run in such a cluster */
export function checkLevel(cluster: Pick<Cluster, 'FeatureLevel'>, program = PROGRAM): void {
  const problem = featureLevelProblem('this node', program, levelOf(cluster));
  if (problem !== undefined) throw new FeatureLevelError(problem);
}

/**
 * The changes as they may stand in the log of a cluster of this level.
 * @param level before these changes; undefined when they make the cluster
 * @throws ApiError FAILED_PRECONDITION for what a user asked for and the level has not; INTERNAL for a level
 *   that falls, or that this program itself does not have
 */
export function limitTo(
  level: number | undefined,
  changes: readonly Change[],
  levels: FeatureLevels = FEATURE_LEVELS,
  program: Program = PROGRAM,
): readonly Change[] {
  const current = level ?? foundedAt(changes);
  const above = levels.fields.filter((field) => field.level > current);
  return changes.map((change) => {
    const { kind, action } = change;
    const needed = Math.max(levels.kinds[kind] ?? 0, levels.actions[action] ?? 0);
    if (needed > current) throw tooNew(`${action} of a ${kind}`, needed, current);
    if (action === 'remove') return change;
    if (kind === 'cluster') checkRise(levelOf(change.body as Cluster), current, program);
    let { body } = change;
    for (const field of above) {
      if (field.kind !== kind) continue;
      const rest = without(body, field.path.split('.'));
      if (rest === body) continue;
      if (field.below === 'refuse')
        throw tooNew(`${kind} field ${field.path}`, field.level, current);
      body = rest as typeof body;
    }
    return body === change.body ? change : { ...change, body };
  });
}

/**
 * An object without what is omitted below the level: whoever writes only what changed compares with this, or
 * it would find a change each time. The same object when nothing is.
 */
export function asOfLevel<T extends object>(
  kind: Kind,
  object: T,
  level: number,
  { fields }: Pick<FeatureLevels, 'fields'> = FEATURE_LEVELS,
): T {
  let result: unknown = object;
  for (const field of fields) {
    if (field.kind !== kind || field.level <= level || field.below !== 'omit') continue;
    result = without(result, field.path.split('.'));
  }
  return result as T;
}

function foundedAt(changes: readonly Change[]): number {
  for (const change of changes) {
    if (change.kind === 'cluster' && change.action === 'create')
      return levelOf(change.body as Cluster);
  }
  return levelOf(undefined);
}

function checkRise(level: number, current: number, { FeatureLevel }: Program): void {
  if (level < current) {
    throw new ApiError('INTERNAL', `the feature level cannot fall from ${current} to ${level}`);
  }
  if (level > current && level > FeatureLevel.Newest) {
    throw new ApiError('INTERNAL', `this program cannot raise the feature level to ${level}`);
  }
}

/** The refusal of what the cluster's level has not. */
export function tooNew(what: string, needed: number, level: number): ApiError {
  return new ApiError(
    'FAILED_PRECONDITION',
    `${what} needs feature level ${needed}, the cluster is at ${level}: upgrade every manager ('swarm info' tells which)`,
  );
}

/** The value without what is at the path; the same value when nothing is there. */
function without(value: unknown, [name = '', ...rest]: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (name === '[]') {
    if (!Array.isArray(value)) return value;
    const items = value.map((item: unknown) => without(item, rest));
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const names = name === '{}' ? Object.keys(fields) : Object.hasOwn(fields, name) ? [name] : [];
  let result = fields;
  for (const each of names) {
    const inner = rest.length === 0 ? undefined : without(fields[each], rest);
    if (inner === fields[each]) continue;
    if (result === fields) result = { ...fields };
    if (inner === undefined) delete (result as Record<string, unknown>)[each];
    else (result as Record<string, unknown>)[each] = inner;
  }
  return result;
}
