import { ApiError } from '../errors.js';
import type { ContainerSpec } from '../objects/service.js';
import type { HostPrivileges } from '../objects/cluster.js';

/** From least to most: each includes those before it. */
export const HOST_PRIVILEGES: readonly HostPrivileges[] = ['none', 'capabilities', 'root'];

/**
 * Users of tasks that ask for none, one per task. Above what directory services hand out (SSSD and FreeIPA
 * end at 2,000,200,000), in the part that systemd's list of ids calls unused.
 */
export const TASK_UIDS = { first: 2_100_000_000, last: 2_147_483_646 } as const;
/** Users and groups that a service may ask for without a policy: they belong to nobody and own nothing. */
export const SERVICE_UIDS = { first: 2_050_000_000, last: 2_050_999_999 } as const;
/** Users and groups up to here are the system's own (login.defs(5), SYS_UID_MAX). */
export const SYSTEM_ID_LAST = 999;

/**
 * Capabilities that act on the task's own processes and namespaces, or on the host in ways that do not lead
 * to root. Without a user namespace, every other one leads to root, or may: CAP_SYS_ADMIN, CAP_SETUID,
 * CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE, CAP_SYS_PTRACE, CAP_MKNOD, CAP_BPF and so on.
 */
const MILD_CAPABILITIES: ReadonlySet<string> = new Set([
  'audit_write',
  'block_suspend',
  'ipc_lock',
  'ipc_owner',
  'kill',
  'lease',
  'net_bind_service',
  'net_broadcast',
  'net_raw',
  'sys_nice',
  'sys_time',
  'wake_alarm',
]);
/** Limits that let a process take the processor from the rest of the host, as CAP_SYS_NICE does. */
const SCHEDULING_LIMITS: ReadonlySet<string> = new Set(['nice', 'rtprio']);

const HOST_IMAGES: ReadonlySet<string> = new Set(['host', 'host:latest']);

/** Whether the image name stands for plain processes of the host. */
export function isHostImage(image: string): boolean {
  return HOST_IMAGES.has(image);
}

/** A part of a spec that the policy must allow. */
export interface PrivilegeNeed {
  readonly level: 'capabilities' | 'root';
  /** `ContainerSpec.User` and the like. */
  readonly field: string;
  /** What it asks for, to follow "asks for". */
  readonly what: string;
}

/** `CAP_NET_RAW`, `net_raw` → `net_raw`. */
export function capabilityName(name: string): string {
  return name.toLowerCase().replace(/^cap_/, '');
}

/**
 * What a container spec of image `host` needs the policy to allow, as far as can be known without the
 * host's accounts: a name counts as an ordinary user until a node looks up its number.
 */
export function privilegeNeeds(container: ContainerSpec): readonly PrivilegeNeed[] {
  const needs: PrivilegeNeed[] = [];
  const add = (level: HostPrivileges, field: string, what: string): void => {
    if (level !== 'none') needs.push({ level, field: `ContainerSpec.${field}`, what });
  };
  const [user = '', group = ''] = (container.User ?? '').split(':', 2);
  if (user !== '') add(identityLevel(user), 'User', `the user "${user}"`);
  if (group !== '') add(identityLevel(group), 'User', `the group "${group}"`);
  for (const name of container.Groups ?? [])
    add(identityLevel(name), 'Groups', `the group "${name}"`);
  for (const name of container.CapabilityAdd ?? []) {
    const level = MILD_CAPABILITIES.has(capabilityName(name)) ? 'capabilities' : 'root';
    add(level, 'CapabilityAdd', `the capability "${name}"`);
  }
  for (const { Name } of container.Ulimits ?? [])
    if (SCHEDULING_LIMITS.has(Name)) add('capabilities', 'Ulimits', `the limit "${Name}"`);
  if ((container.OomScoreAdj ?? 0) < 0) add('capabilities', 'OomScoreAdj', 'a score below 0');
  return needs;
}

/** What a task needs to run as a user, or in a group, of this number. */
export function idLevel(id: number): HostPrivileges {
  if (id >= SERVICE_UIDS.first && id <= SERVICE_UIDS.last) return 'none';
  // Another task may have one of the tasks' own ids; above them are no valid ids, or root's by overflow.
  if (id <= SYSTEM_ID_LAST || id >= TASK_UIDS.first) return 'root';
  return 'capabilities';
}

function identityLevel(name: string): HostPrivileges {
  if (/^\d+$/.test(name)) return idLevel(Number(name));
  return name === 'root' ? 'root' : 'capabilities';
}

/** Whether `policy` covers `level`. */
export function allows(policy: HostPrivileges, level: HostPrivileges): boolean {
  return HOST_PRIVILEGES.indexOf(policy) >= HOST_PRIVILEGES.indexOf(level);
}

/** Why the policy refuses a need, and what to do. */
export function privilegeRefusal(need: PrivilegeNeed, policy: HostPrivileges): string {
  return (
    `${need.field} asks for ${need.what}, and this cluster gives tasks of the image "host" ` +
    `${policy === 'none' ? 'no host privileges' : `only the host privileges "${policy}"`}: remove it, ` +
    `or allow it for the whole cluster with 'swarm update --host-privileges ${need.level}'`
  );
}

/**
 * Refuses a container spec that needs more than the policy.
 * @throws ApiError FAILED_PRECONDITION
 */
export function checkHostPrivileges(container: ContainerSpec, policy: HostPrivileges): void {
  if (!isHostImage(container.Image)) return;
  const need = privilegeNeeds(container).find(({ level }) => !allows(policy, level));
  if (need !== undefined) throw new ApiError('PERMISSION_DENIED', privilegeRefusal(need, policy));
}
