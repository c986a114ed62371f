import { type IpAddress, isIpv6, type PortKey, type Subnet } from '@swarm/api';
import type { CheckedAllow, CheckedMember, CheckedPort, CheckedService } from '../checked.js';
import type { TaskId } from '../layout.js';
import type { StateIndex } from '../state-index.js';
import type { Family } from '../table/family.js';

/** Sets and maps of the guard. `guard_refused` is the kernel's to fill. */
export type GuardSetName =
  | 'guarded'
  | 'guard_open'
  | 'guard_open_all'
  | 'guard_callers'
  | 'guard_admits'
  | 'guard_admits_all'
  | 'guard_nets'
  | 'guard_nets_all';

export const GUARD_SETS: readonly GuardSetName[] = [
  'guarded',
  'guard_open',
  'guard_open_all',
  'guard_callers',
  'guard_admits',
  'guard_admits_all',
  'guard_nets',
  'guard_nets_all',
];

/** Elements by set: keys with their values, which are empty in a set. */
export type GuardPlan = ReadonlyMap<GuardSetName, ReadonlyMap<string, string>>;

export interface GuardInput {
  readonly index: StateIndex;
  readonly services: ReadonlyMap<string, CheckedService>;
  readonly members: ReadonlyMap<TaskId, CheckedMember>;
  readonly ports: ReadonlyMap<PortKey, CheckedPort>;
  /** Tasks of this node with all of their addresses. */
  readonly tasks: ReadonlyMap<TaskId, { readonly addresses: readonly IpAddress[] }>;
  /** A number for each service that a rule admits; the same as long as one does. */
  readonly numberOf: (serviceId: string) => number;
}

/** A task of this node whose service has rules. */
export interface GuardedTask {
  readonly taskId: TaskId;
  readonly serviceId: string;
  readonly addresses: readonly IpAddress[];
  readonly allow: readonly CheckedAllow[];
}

/**
 * Tasks of this node whose services have rules. A task's service is known by the networks it is on, or by the ports
 * that lead to it; one without either is reached by nobody.
 */
export function guardedTasks({ index, services, members, tasks }: GuardInput): GuardedTask[] {
  if (index.servicesWithRules.size === 0) return [];
  const owners = new Map<TaskId, string>();
  for (const serviceId of index.servicesWithRules.keys()) {
    for (const { endpoints } of index.portsOf(serviceId).values())
      for (const { taskId } of endpoints) owners.set(taskId as TaskId, serviceId);
  }
  const found: GuardedTask[] = [];
  for (const [taskId, { addresses }] of tasks) {
    const serviceId = members.get(taskId)?.serviceId ?? owners.get(taskId);
    const allow = serviceId === undefined ? undefined : services.get(serviceId)?.allow;
    if (serviceId !== undefined && allow !== undefined)
      found.push({ taskId, serviceId, addresses, allow });
  }
  return found;
}

/** What the sets of one family hold. */
export function guardPlan(
  guarded: readonly GuardedTask[],
  input: GuardInput,
  { version }: Family,
): GuardPlan {
  const plan = new Map<GuardSetName, Map<string, string>>(
    GUARD_SETS.map((name) => [name, new Map()]),
  );
  const put = (name: GuardSetName, key: string, value = '') => plan.get(name)!.set(key, value);
  const isOfFamily = (address: IpAddress) => isIpv6(address) === (version === 6);
  const callers = new Set<string>();
  for (const { addresses, allow } of guarded) {
    const networks = new Map<string, Subnet[]>();
    for (const address of addresses.filter(isOfFamily)) {
      put('guarded', address);
      for (const { source, ports } of allow) {
        const keys = ports.length === 0 ? [undefined] : ports;
        for (const port of keys) {
          const to = port === undefined ? address : `${address} . ${port.protocol} . ${port.port}`;
          const suffix = port === undefined ? '_all' : '';
          if (source.kind === 'any') put(`guard_open${suffix}` as GuardSetName, to);
          else if (source.kind === 'network') {
            if (source.subnet.isIpv6 !== (version === 6)) continue;
            if (source.subnet.prefixLength === 0) put(`guard_open${suffix}` as GuardSetName, to);
            else networks.set(to, [...(networks.get(to) ?? []), source.subnet]);
          } else {
            for (const id of servicesNamed(input, source.name)) {
              callers.add(id);
              put(`guard_admits${suffix}` as GuardSetName, `${input.numberOf(id)} . ${to}`);
            }
          }
        }
      }
    }
    for (const [to, subnets] of networks) {
      const name = to.includes(' . ') ? 'guard_nets' : 'guard_nets_all';
      // The kernel refuses intervals of one key that overlap.
      for (const subnet of widest(subnets)) put(name, `${subnet} . ${to}`);
    }
  }
  for (const id of callers) {
    for (const { networks } of input.index.membersOf(id).values()) {
      for (const addresses of networks.values()) {
        for (const address of addresses.filter(isOfFamily))
          put('guard_callers', address, `${input.numberOf(id)}`);
      }
    }
  }
  return plan;
}

/** By id, or by name: names of services are unique. */
export function servicesNamed(
  { services, index }: Pick<GuardInput, 'services' | 'index'>,
  name: string,
): string[] {
  if (services.has(name)) return [name];
  return [...index.servicesNamed(name.toLowerCase()).keys()];
}

/** Those that are within no other one. */
function widest(subnets: readonly Subnet[]): Subnet[] {
  const kept: Subnet[] = [];
  const byWidth = [...subnets].sort((a, b) => a.prefixLength - b.prefixLength);
  for (const subnet of byWidth) {
    const first = subnet.addressAt(0);
    if (!kept.some((wider) => wider.offsetOf(first) !== undefined)) kept.push(subnet);
  }
  return kept;
}

/** A connection that nobody admitted, as `guard_refused` names it. */
export interface RefusedAttempt {
  readonly to: IpAddress;
  readonly from: IpAddress;
  readonly protocol: string;
  /** 0 if the protocol has none. */
  readonly port: number;
}
