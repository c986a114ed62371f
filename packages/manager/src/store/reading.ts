import {
  clusterShape,
  configShape,
  networkShape,
  nodeShape,
  type RecordShape,
  removedNodeShape,
  revisionShape,
  secretShape,
  serviceShape,
  type Shape,
  type shape,
  ShapeError,
  taskShape,
} from '@swarm/api';
import { KINDS } from './kinds.js';
import { type Mend, MENDS } from './mends.js';
import { share } from './share.js';
import type { Kind, Objects } from './store.js';

/**
 * A stored object as it may be read. `object` has the shape of its kind: every field is of its type, and
 * the shape knows each of them. It is the stored object itself if that is good.
 */
export interface Reading<K extends Kind = Kind> {
  /** Undefined: the object cannot be read and is set aside. */
  readonly object: Objects[K] | undefined;
  /** What is wrong with it, at most one for each rule of `MENDS` and one more: `Status.Address: must be …`. */
  readonly faults: readonly string[];
}

type Parts = Readonly<Record<string, unknown>>;

interface Field {
  readonly name: string;
  readonly shape: Shape<unknown>;
  readonly isOptional: boolean;
}

const SHAPES: { readonly [K in Kind]: RecordShape<Objects[K]> } = {
  cluster: clusterShape,
  node: nodeShape,
  service: serviceShape,
  task: taskShape,
  network: networkShape,
  secret: secretShape,
  config: configShape,
  revision: revisionShape,
  'removed-node': removedNodeShape,
};

const FIELDS: ReadonlyMap<Kind, readonly Field[]> = new Map(
  KINDS.map((kind) => [kind, fieldsOf(SHAPES[kind].fields)]),
);
const NAMES: ReadonlyMap<Kind, ReadonlySet<string>> = new Map(
  KINDS.map((kind) => [kind, new Set(Object.keys(SHAPES[kind].fields))]),
);

/** What the store sets itself when it applies a change. */
const SET_BY_STORE: ReadonlySet<string> = new Set(['Version', 'CreatedAt', 'UpdatedAt']);
const NO_FAULTS: readonly string[] = [];

function fieldsOf(fields: object): Field[] {
  return Object.entries(
    fields as Record<string, Shape<unknown> | shape.OptionalShape<unknown>>,
  ).map(([name, one]) =>
    'optional' in one
      ? { name, shape: one.optional, isOptional: true }
      : { name, shape: one, isOptional: false },
  );
}

/**
 * Turns a stored object into what readers may rely on. Objects stored since shapes are checked are good as
 * they are; older versions let in worse, newer ones may store more. Leaves out bad parts that a node reported
 * about itself or a task, or that the cluster can find out again (`MENDS`). Never guesses what a user asked
 * for: sets such an object aside.
 *
 * A pure function for readers alone: what is stored, and whether a change is accepted, does not depend
 * on it. So members of different versions may read one object differently and still agree on the state.
 * @param known parts that were read before: a part identical to one of them is good
 */
export function readObject<K extends Kind>(kind: K, stored: object, known?: object): Reading<K> {
  let faults: string[] | undefined;
  const used = new Set<Mend>();
  let source = stored as Parts;
  for (;;) {
    try {
      const object = readFields(kind, source, known as Parts | undefined, false) as unknown;
      return { object: object as Objects[K], faults: faults ?? NO_FAULTS };
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      faults ??= [];
      faults.push(error.message);
      const mended = mend(kind, source, error.path, used);
      if (mended === undefined) return { object: undefined, faults };
      source = mended;
    }
  }
}

/**
 * Reads an object before it is proposed; the result may go into the log.
 * @param known see `readObject`
 * @throws ShapeError
 */
export function readDraft<K extends Kind>(kind: K, draft: object, known?: object): Objects[K] {
  return readFields(
    kind,
    draft as Parts,
    known as Parts | undefined,
    true,
  ) as unknown as Objects[K];
}

/** Returns the same object if all its fields are good, else a copy with the fields as they were read. */
function readFields(kind: Kind, source: Parts, known: Parts | undefined, isDraft: boolean): Parts {
  let result = source;
  for (const { name, shape, isOptional } of FIELDS.get(kind)!) {
    const value = source[name];
    if (value === undefined && isOptional) continue;
    if (known !== undefined && value !== undefined && known[name] === value) continue;
    if (isDraft && SET_BY_STORE.has(name)) continue;
    const copy = readField(name, shape, isOptional, value);
    const read = isDraft ? copy : share(value, copy);
    if (read === value) continue;
    if (result === source) result = { ...source };
    if (read === undefined) delete (result as Record<string, unknown>)[name];
    else (result as Record<string, unknown>)[name] = read;
  }
  const names = NAMES.get(kind)!;
  for (const name in source) {
    if (names.has(name)) continue;
    if (result === source) result = { ...source };
    delete (result as Record<string, unknown>)[name];
  }
  return result;
}

function readField(
  name: string,
  shape: Shape<unknown>,
  isOptional: boolean,
  value: unknown,
): unknown {
  if (value === undefined || value === null) {
    if (isOptional) return undefined;
    throw new ShapeError(name, 'is missing');
  }
  try {
    return shape.read(value);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    const inner = error.path === '' || error.path.startsWith('[') ? error.path : `.${error.path}`;
    throw new ShapeError(`${name}${inner}`, error.problem);
  }
}

/** Replaces the part of the object that contains the fault; undefined when that part cannot be spared. */
function mend(kind: Kind, source: Parts, fault: string, used: Set<Mend>): Parts | undefined {
  const rule = MENDS[kind].find((one) => !used.has(one) && isWithin(fault, one.path));
  if (rule === undefined) return undefined;
  // When one rule did not help, the next one covers a larger part, so this ends.
  used.add(rule);
  return replaced(source, rule.path.split('.'), rule.replace);
}

function isWithin(path: string, outer: string): boolean {
  return path === outer || path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`);
}

function replaced(
  source: Parts,
  path: readonly string[],
  replace: (old: unknown) => unknown,
): Parts | undefined {
  const [name = '', ...rest] = path;
  const old = source[name];
  if (rest.length === 0) return { ...source, [name]: replace(old) };
  if (typeof old !== 'object' || old === null) return undefined;
  const inner = replaced(old as Parts, rest, replace);
  return inner === undefined ? undefined : { ...source, [name]: inner };
}
