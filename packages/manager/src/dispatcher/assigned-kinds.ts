import type { AssignmentPut, NeededKind } from '@swarm/api';
import type { View } from '../store/store.js';

/** The put of an object that tasks need. */
export type NeededPut = { [K in NeededKind]: AssignmentPut<K> }[NeededKind];

/**
 * How objects of a kind get from the store to the nodes whose tasks need them. The store uses the same name
 * for the kind, so that its events find those nodes.
 */
export interface AssignedKindSource {
  readonly kind: NeededKind;
  /** The part of the stored object that a node gets; undefined when the object does not exist. */
  put(view: View, id: string, nodeId: string): NeededPut | undefined;
}

/** Labels are for people and for filters: no node needs them. */
function withoutLabels<T extends { readonly Spec: { readonly Labels: object } }>(object: T): T {
  return { ...object, Spec: { ...object.Spec, Labels: {} } };
}

/** All kinds that tasks need. `needsOf` says which task needs what. */
export const ASSIGNED_SOURCES: readonly AssignedKindSource[] = [
  {
    kind: 'network',
    put(view, id) {
      const object = view.get('network', id);
      return object && { kind: 'network', action: 'put', object: withoutLabels(object) };
    },
  },
  {
    kind: 'secret',
    put(view, id) {
      const object = view.get('secret', id);
      return object && { kind: 'secret', action: 'put', object: withoutLabels(object) };
    },
  },
  {
    kind: 'config',
    put(view, id) {
      const object = view.get('config', id);
      return object && { kind: 'config', action: 'put', object: withoutLabels(object) };
    },
  },
];
