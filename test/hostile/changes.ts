import { isDeepStrictEqual } from 'node:util';
import { type ClientVersioned, clientVersion, type Meta, type Node, type Task } from '@swarm/api';
import { BAIT_SERVICE } from './cluster.js';
import type { State } from './state.js';

type Fields = Readonly<Record<string, unknown>>;

/** Prefix of the names of the honest client's services. */
export const PROBE_PREFIX = 'probe-';
/** Fields that every write of an object changes. The version that clients see is compared by itself. */
const META: readonly (keyof Meta | keyof ClientVersioned)[] = [
  'Version',
  'UpdatedAt',
  'ClientVersion',
];
/** Kinds whose version is, to clients, that of the spec. */
const HELD_BY_CLIENTS = ['service', 'node', 'cluster'];
/** Fields that a node reports, and that a renewal writes. */
const OF_THE_NODE = ['Description', 'Status', 'Mesh', 'CertificateExpiresAt'];

/**
 * Changes that the attack must not make. It may change what its own nodes report about themselves and the
 * statuses of their tasks, and the orchestrator may replace those tasks.
 * @param own ids of the attacker's nodes
 */
export function forbiddenChanges(before: State, after: State, own: ReadonlySet<string>): string[] {
  const bait = new Set(
    [...before.of('service'), ...after.of('service')]
      .filter(({ Spec }) => Spec.Name === BAIT_SERVICE)
      .map(({ ID }) => ID),
  );
  const isLeftOut = (kind: string, object: Meta): boolean => {
    if (kind === 'service')
      return (object as unknown as { Spec: { Name: string } }).Spec.Name.startsWith(PROBE_PREFIX);
    if (kind !== 'task') return false;
    const { ServiceID, ServiceName } = object as Task;
    return bait.has(ServiceID) || ServiceName.startsWith(PROBE_PREFIX);
  };
  const found: string[] = [];
  const left = new Map(after.objects.map(({ kind, object }) => [`${kind} ${object.ID}`, object]));
  for (const { kind, object } of before.objects) {
    const key = `${kind} ${object.ID}`;
    const now = left.get(key);
    left.delete(key);
    if (isLeftOut(kind, object)) continue;
    if (now === undefined) {
      found.push(`${key} is gone`);
      continue;
    }
    const may = kind === 'node' ? allowedOf(object as Node, own) : [];
    found.push(...differences(object, now, [...META, ...may]).map((what) => `${key}: ${what}`));
    const [seen, sees] = [clientVersion(object), clientVersion(now)];
    if (HELD_BY_CLIENTS.includes(kind) && seen.Index !== sees.Index)
      found.push(`${key}: a client's version was ${seen.Index}, is ${sees.Index}`);
  }
  for (const [key, object] of left) {
    const [kind] = key.split(' ');
    if (!isLeftOut(kind!, object))
      found.push(`${key} is new: ${JSON.stringify(object).slice(0, 300)}`);
  }
  return [...found, ...wrongBait(after, bait, own)].map((text) => `changed by the attack: ${text}`);
}

function allowedOf({ ID }: Node, own: ReadonlySet<string>): readonly string[] {
  return own.has(ID) ? OF_THE_NODE : [];
}

/** Tasks of the bait may fail and be replaced, but not change otherwise. */
function wrongBait(after: State, bait: ReadonlySet<string>, own: ReadonlySet<string>): string[] {
  const specs = new Map(after.of('service').map((service) => [service.ID, service]));
  return after
    .of('task')
    .filter(({ ServiceID }) => bait.has(ServiceID))
    .flatMap((task) => {
      const found: string[] = [];
      if (task.NodeID !== undefined && !own.has(task.NodeID))
        found.push(`task ${task.ID} came to node ${task.NodeID}`);
      const service = specs.get(task.ServiceID);
      if (service !== undefined && !isDeepStrictEqual(task.Spec, service.Spec.TaskTemplate))
        found.push(`task ${task.ID} has another spec`);
      return found;
    });
}

function differences(before: object, after: object, but: readonly string[]): string[] {
  const [old, now] = [before as Fields, after as Fields];
  const names = new Set([...Object.keys(old), ...Object.keys(now)]);
  return [...names]
    .filter((name) => !but.includes(name) && !isDeepStrictEqual(old[name], now[name]))
    .map((name) => `${name} was ${brief(old[name])}, is ${brief(now[name])}`);
}

function brief(value: unknown): string {
  return (JSON.stringify(value) ?? 'absent').slice(0, 300);
}
