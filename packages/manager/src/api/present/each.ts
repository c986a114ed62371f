import type { SetAside, Unit } from '../../set-aside.js';

/**
 * Returns the objects of a list that match, as the API shows them. Skips and logs an object that cannot be
 * shown, so that the others still are.
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
