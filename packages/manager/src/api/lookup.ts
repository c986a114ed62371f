import { ApiError, isTerminal, type Node, showControls, type Task } from '@swarm/api';
import { nodeNameOf } from '../store/object-keys.js';
import type { Objects, View } from '../store/store.js';

/** Most of several matches that an error lists. */
const LISTED_LIMIT = 8;

/** Kinds that users name. */
export type NamedKind = 'node' | 'service' | 'task' | 'network' | 'secret' | 'config';

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
  const isShown = (object: Objects[K]) => !isRemoved(kind, object);
  const named = byName(view, kind, given).filter(isShown);
  const found = named.length > 0 || given === '' ? named : startingWith(view, kind, given, isShown);
  if (found.length > 1) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `${kind} ${given} is ambiguous (${found.length} matches found): ${describe(kind, found)}; use the whole id`,
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

/** The matches, so that the user can tell them apart: each with its id, name and state; what lives comes first. */
function describe<K extends NamedKind>(kind: K, found: readonly Objects[K][]): string {
  const all = found.map((object) => of(kind, object));
  all.sort((a, b) => Number(b.isLive) - Number(a.isLive));
  const listed = all.slice(0, LISTED_LIMIT).map(({ text }) => showControls(text));
  const more = all.length - listed.length;
  return listed.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function of(kind: NamedKind, object: Objects[NamedKind]): { isLive: boolean; text: string } {
  if (kind === 'node') {
    const node = object as Node;
    const { State } = node.Status;
    const { Availability } = node.Spec;
    const states = [State, ...(Availability === 'active' ? [] : [Availability])];
    return {
      isLive: State === 'ready',
      text: `${node.ID} (${nodeNameOf(node) ?? 'no name yet'}, ${states.join(', ')})`,
    };
  }
  if (kind === 'task') {
    const task = object as Task;
    const { State } = task.Status;
    const name = task.Name ?? task.ServiceID;
    return { isLive: !isTerminal(State), text: `${task.ID} (${name}, ${State})` };
  }
  const { Name } = (object as Objects[Exclude<NamedKind, 'node' | 'task'>]).Spec;
  return { isLive: true, text: `${object.ID} (${Name})` };
}

/** The objects that users know by exactly this name; several nodes may have one. */
function byName<K extends NamedKind>(view: View, kind: K, given: string): readonly Objects[K][] {
  const found: Iterable<Objects[NamedKind]> =
    kind === 'node' ? view.nodesByName(given) : ofName(view, kind, given);
  return [...found] as Objects[K][];
}

function ofName(view: View, kind: Exclude<NamedKind, 'node'>, given: string): Objects[NamedKind][] {
  // The name of a task ends with its id.
  if (kind === 'task') {
    const task = view.get('task', given.slice(given.lastIndexOf('.') + 1));
    return task?.Name === given ? [task] : [];
  }
  const object = view.byName(kind, given);
  return object?.Spec.Name === given ? [object] : [];
}

function startingWith<K extends NamedKind>(
  view: View,
  kind: K,
  given: string,
  isShown: (object: Objects[K]) => boolean,
): readonly Objects[K][] {
  return [...view.startingWith(kind, given)].filter(isShown);
}
