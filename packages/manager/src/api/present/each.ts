import type { SetAside, Unit } from '../../set-aside.js';

/**
 * The objects of a list that match, as the API shows them. One that can not be shown is left out and named in
 * the log; it keeps nobody from seeing the others.
 */
export function presentEach<T extends Unit, R>(
  aside: SetAside,
  kind: string,
  objects: Iterable<T>,
  matches: (object: T) => boolean,
  present: (object: T) => R,
): R[] {
  const shown: R[] = [];
  for (const object of objects) {
    aside.attempt(kind, object, () => {
      if (matches(object)) shown.push(present(object));
    });
  }
  return shown;
}
