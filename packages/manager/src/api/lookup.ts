import { ApiError, showControls } from '@swarm/api';
import type { Objects, View } from '../store/store.js';

/** Kinds that users name. */
export type NamedKind = 'node' | 'service' | 'task' | 'network' | 'secret' | 'config';

/** The name a user knows an object by. */
function nameOf<K extends NamedKind>(kind: K, object: Objects[K]): string | undefined {
  if (kind === 'node') {
    const node = object as Objects['node'];
    return node.Spec.Name ?? node.Description?.Hostname;
  }
  if (kind === 'task') return (object as Objects['task']).Name;
  return (object as Objects['service']).Spec.Name;
}

function isRemoved<K extends NamedKind>(kind: K, object: Objects[K]): boolean {
  return kind === 'service' && (object as Objects['service']).PendingDelete === true;
}

/**
 * Finds the object that a user names: by whole id, else by whole name, else by the start of an id. A service
 * that is being removed is only found by its whole id.
 * @throws ApiError NOT_FOUND; INVALID_ARGUMENT when several match; both in Docker's words. FAILED_PRECONDITION
 *   when the stored object cannot be read
 */
export function find<K extends NamedKind>(view: View, kind: K, given: string): Objects[K] {
  const exact = view.get(kind, given);
  if (exact !== undefined) return exact;
  const named: Objects[K][] = [];
  const prefixed: Objects[K][] = [];
  for (const object of view.list(kind)) {
    if (isRemoved(kind, object)) continue;
    if (nameOf(kind, object) === given) named.push(object);
    else if (given !== '' && object.ID.startsWith(given)) prefixed.push(object);
  }
  const found = named.length > 0 ? named : prefixed;
  if (found.length > 1) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `${kind} ${given} is ambiguous (${found.length} matches found); use the whole id`,
    );
  }
  const aside = view.setAside(kind, given);
  if (found[0] === undefined && aside !== undefined) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `the stored ${kind} ${aside.id} cannot be read (${showControls(aside.reason)}): remove it by its id, then create it again`,
    );
  }
  if (found[0] === undefined) throw new ApiError('NOT_FOUND', `${kind} ${given} not found`);
  return found[0];
}
