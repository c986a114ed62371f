import { readFileSync } from 'node:fs';
import { allows, idLevel, type HostPrivileges, privilegeRefusal, SYSTEM_ID_LAST } from '@swarm/api';
import { errnoOf, RuntimeError } from '../runtime-error.js';

/** Numeric identity of a task. */
export interface HostUser {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly home: string;
}

/** The host's account files; tests pass in their own. */
export interface Accounts {
  readonly passwd: string;
  readonly group: string;
  /** Ranges of ids for containers (subuid(5)); empty if the host has none. */
  readonly subuid: string;
  readonly subgid: string;
}

/** The kernel's -1 is not an id. */
const ID_LAST = 2 ** 32 - 2;
/** Where a task without an account can write: its own folder in memory. */
const HOME = '/tmp';

export function readAccounts(): Accounts {
  return {
    passwd: readFileSync('/etc/passwd', 'utf8'),
    group: readFileSync('/etc/group', 'utf8'),
    subuid: readOptional('/etc/subuid'),
    subgid: readOptional('/etc/subgid'),
  };
}

/** The user of a task that asks for none: a number of its own, in no other group. */
export function ownUser(uid: number): HostUser {
  return { uid, gid: uid, groups: [], home: HOME };
}

/**
 * Resolves `user`, `uid`, `user:group`, `uid:gid` and the spec's extra groups, much as Docker does: a
 * number need not exist, a name must. Without a group, takes the user's own and all that list the user,
 * except system groups (0 to 999) that the policy does not cover. A number without an account is its own
 * group, where Docker uses root's.
 * @param own the task's own user, in case the spec names none
 * @throws RuntimeError `rejected` when a name is unknown or the policy forbids it
 */
export function resolveUser(
  user: string,
  extraGroups: readonly string[],
  accounts: Accounts,
  policy: HostPrivileges,
  own?: HostUser,
): HostUser {
  const extra = extraGroups.map((name) =>
    allowed(resolveGroup(name, 'Groups', accounts), 'Groups', 'group', name, policy),
  );
  const [name = '', groupName = ''] = user.split(':', 2);
  if (name === '' && own !== undefined) {
    const gid = groupName === '' ? own.gid : givenGroup(groupName, accounts, policy);
    return { ...own, gid, groups: [...new Set(extra)].filter((group) => group !== gid) };
  }
  const entry = rows(accounts.passwd).find((row) => row[0] === name || row[2] === name);
  if (entry === undefined && !isNumber(name)) {
    throw new RuntimeError(
      'rejected',
      `ContainerSpec.User names the user "${name}", which is not in /etc/passwd on this host; create it or use a number.`,
    );
  }
  const uid = allowed(Number(entry?.[2] ?? name), 'User', 'user', name, policy);
  const primary = Number(entry?.[3] ?? uid);
  const groups = new Set(extra);
  let gid: number;
  if (groupName !== '') {
    gid = givenGroup(groupName, accounts, policy);
  } else {
    gid = allowed(primary, 'User', 'group', String(primary), policy);
    for (const row of entry === undefined ? [] : rows(accounts.group)) {
      const id = Number(row[2]);
      if (row[3]?.split(',').includes(entry?.[0] ?? '') !== true) continue;
      if (id > SYSTEM_ID_LAST || policy === 'root') groups.add(id);
    }
  }
  groups.delete(gid);
  return { uid, gid, groups: [...groups], home: entry?.[5] ?? HOME };
}

function givenGroup(name: string, accounts: Accounts, policy: HostPrivileges): number {
  return allowed(resolveGroup(name, 'User', accounts), 'User', 'group', name, policy);
}

/** The id, if the policy covers it. */
function allowed(
  id: number,
  field: 'User' | 'Groups',
  kind: 'user' | 'group',
  name: string,
  policy: HostPrivileges,
): number {
  const level = idLevel(id);
  if (id > ID_LAST)
    throw new RuntimeError('rejected', `ContainerSpec.${field} has ${name}, which is not an id.`);
  if (level === 'none' || allows(policy, level)) return id;
  const what = `the ${kind} "${name}"${isNumber(name) ? '' : ` (${id})`}`;
  throw new RuntimeError(
    'rejected',
    `${privilegeRefusal({ level, field: `ContainerSpec.${field}`, what }, policy)}.`,
  );
}

function resolveGroup(name: string, field: 'User' | 'Groups', accounts: Accounts): number {
  const entry = rows(accounts.group).find((row) => row[0] === name);
  if (entry !== undefined) return Number(entry[2]);
  if (isNumber(name)) return Number(name);
  throw new RuntimeError(
    'rejected',
    `ContainerSpec.${field} names the group "${name}", which is not in /etc/group on this host; create it or use a number.`,
  );
}

function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
