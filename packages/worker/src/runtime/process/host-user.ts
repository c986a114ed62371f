import { readFileSync } from 'node:fs';
import { RuntimeError } from '../runtime-error.js';

/** Numeric identity of a task. */
export interface HostUser {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly home: string;
}

/** The host's account files; passed in for tests. */
export interface Accounts {
  readonly passwd: string;
  readonly group: string;
}

export function readAccounts(): Accounts {
  return {
    passwd: readFileSync('/etc/passwd', 'utf8'),
    group: readFileSync('/etc/group', 'utf8'),
  };
}

/**
 * Resolves `user`, `uid`, `user:group`, `uid:gid` and the spec's extra groups, as Docker does: a number
 * need not exist, a name must. Without a group, the user's own and all that list the user.
 * @throws RuntimeError `rejected` when a name is unknown
 */
export function resolveUser(
  user: string,
  extraGroups: readonly string[],
  accounts: Accounts,
): HostUser {
  const [name = '', groupName] = user.split(':', 2);
  const entry = rows(accounts.passwd).find((row) => row[0] === name || row[2] === name);
  if (entry === undefined && !isNumber(name)) {
    throw new RuntimeError(
      'rejected',
      `ContainerSpec.User names the user "${name}", which /etc/passwd of this host does not have; create it or give a number.`,
    );
  }
  const uid = Number(entry?.[2] ?? name);
  const gid =
    groupName === undefined || groupName === ''
      ? Number(entry?.[3] ?? 0)
      : resolveGroup(groupName, 'ContainerSpec.User', accounts);
  const groups = new Set(
    extraGroups.map((group) => resolveGroup(group, 'ContainerSpec.Groups', accounts)),
  );
  if ((groupName === undefined || groupName === '') && entry !== undefined) {
    for (const row of rows(accounts.group)) {
      if (row[3]?.split(',').includes(entry[0] ?? '') === true) groups.add(Number(row[2]));
    }
  }
  groups.delete(gid);
  return { uid, gid, groups: [...groups], home: entry?.[5] ?? '/' };
}

function resolveGroup(name: string, field: string, accounts: Accounts): number {
  const entry = rows(accounts.group).find((row) => row[0] === name);
  if (entry !== undefined) return Number(entry[2]);
  if (isNumber(name)) return Number(name);
  throw new RuntimeError(
    'rejected',
    `${field} names the group "${name}", which /etc/group of this host does not have; create it or give a number.`,
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
