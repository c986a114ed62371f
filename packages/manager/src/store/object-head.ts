import { isObjectId } from '@swarm/api';
import { isPlainObject } from './share.js';
import type { Kind, Objects } from './store.js';

/**
 * Checks what the store itself needs of an object: a key that names one record of the database, and for a
 * stored one the version that changes are checked against. Everything else may be bad and is stored as is.
 * @returns what is wrong; undefined when nothing is
 */
export function bodyProblem(body: unknown): string | undefined {
  if (!isPlainObject(body)) return 'an object is not a map';
  if (!isObjectId(body.ID)) return 'an object has no id';
  return undefined;
}

/** As `bodyProblem`, for an object with the store's own fields. @param id as the key has it */
export function storedProblem(object: unknown, id?: string): string | undefined {
  const problem = bodyProblem(object);
  if (problem !== undefined) return problem;
  const { ID, Version } = object as Objects[Kind];
  if (id !== undefined && ID !== id) return `it calls itself ${ID}`;
  if (!isPlainObject(Version) || !isVersion(Version.Index)) return 'it has no version';
  return undefined;
}

/** An index of the log. */
export function isVersion(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
