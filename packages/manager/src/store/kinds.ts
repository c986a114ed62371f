import type { Kind, SpecKind } from './store.js';

/**
 * Every kind with the number that stands for it in log entries and in the database.
 * The numbers are written to disk: never renumber, only add.
 */
export const KIND_CODES = {
  cluster: 1,
  node: 2,
  service: 3,
  task: 4,
  network: 5,
  secret: 6,
  config: 7,
  revision: 8,
  'removed-node': 9,
} as const satisfies Record<Kind, number>;

/** In the order in which a snapshot lists them. */
export const KINDS = Object.keys(KIND_CODES) as readonly Kind[];

const BY_CODE: ReadonlyMap<number, Kind> = new Map(KINDS.map((kind) => [KIND_CODES[kind], kind]));

/** @returns undefined for a number that this version does not know */
export function kindOfCode(code: number): Kind | undefined {
  return BY_CODE.get(code);
}

/** Kinds whose Spec.Name is unique among the objects of the kind. */
export type NamedKind = 'service' | 'network' | 'secret' | 'config';

/** Whether names of this kind are unique. */
export function isNamed(kind: Kind): kind is NamedKind {
  return kind === 'service' || kind === 'network' || kind === 'secret' || kind === 'config';
}

/** Whether both clients and the cluster write objects of this kind. */
export function isSpecKind(kind: Kind): kind is SpecKind {
  return kind === 'cluster' || kind === 'node' || kind === 'service';
}

/**
 * What names are compared by: upper and lower case do not differ, as in Docker, because a service's
 * name is also a DNS name.
 */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

/**
 * The unique name of an object; undefined for kinds whose names are not unique, and for an object that was
 * stored without one.
 */
export function nameOf(kind: Kind, object: { readonly ID: string }): string | undefined {
  if (!isNamed(kind)) return undefined;
  const { Spec } = object as { readonly Spec?: { readonly Name?: unknown } | null };
  return typeof Spec?.Name === 'string' ? Spec.Name : undefined;
}
