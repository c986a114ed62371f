import { ApiError } from '@swarm/api';
import type { Rejection } from './apply.js';
import type { NamedKind } from './kinds.js';
import type { Kind } from './store.js';

/** The words are Docker's: its clients look for them. */
export const OUT_OF_SEQUENCE = 'update out of sequence';

/** The object is not what the change was made from. */
export function outOfSequence(): ApiError {
  return new ApiError('OUT_OF_SEQUENCE', OUT_OF_SEQUENCE);
}

/** Another object of the kind has the name. */
export function nameTaken(kind: NamedKind, name: string): ApiError {
  return new ApiError(
    'CONFLICT',
    `name conflicts with an existing object: ${kind} ${name} already exists`,
  );
}

/** Another object has the id; for the cluster object, there is one. */
export function idTaken(kind: Kind, id: string): ApiError {
  return new ApiError('CONFLICT', `an object already exists: ${kind} ${id}`);
}

/** Converts a rejection to the error that the proposer sees. */
export function rejectionError(rejection: Rejection): ApiError {
  switch (rejection.reason) {
    case 'out-of-sequence':
      return outOfSequence();
    case 'id-taken':
      return idTaken(rejection.kind, rejection.id);
    case 'name-taken':
      return nameTaken(rejection.kind as NamedKind, rejection.name as string);
    case 'malformed':
      return new ApiError('INTERNAL', `the change cannot be read: ${rejection.problem}`);
  }
}
