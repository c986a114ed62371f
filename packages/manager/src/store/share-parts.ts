import type { Revision, Task } from '@swarm/api';
import { share } from './share.js';
import type { Kind, Objects } from './store.js';
import { type Tables, taskParts } from './tables.js';

/**
 * Lets a new object use the parts of those it has most in common with: its predecessor; for a new task
 * the template of its service; for a new revision its service's spec. Ten thousand tasks of a service then hold
 * one copy of their spec.
 * @param object fresh from decoding: it may be changed here
 */
export function shareParts<K extends Kind>(
  tables: Tables,
  kind: K,
  object: Objects[K],
): Objects[K] {
  const previous = tables.stored(kind, object.ID);
  if (previous !== undefined) return share(previous, object) as Objects[K];
  if (kind === 'revision') {
    const service = tables.get('service', (object as Revision).ServiceID);
    return service === undefined ? object : (share({ Spec: service.Spec }, object) as Objects[K]);
  }
  if (kind !== 'task') return object;
  const service = tables.get('service', (object as Task).ServiceID);
  if (service === undefined) return object;
  // The endpoints have only their ports in common.
  return share({ ...taskParts(service), Endpoint: service.Endpoint }, object) as Objects[K];
}
