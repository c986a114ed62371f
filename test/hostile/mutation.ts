import fc, { type Arbitrary } from 'fast-check';

type Tree = Record<string, unknown> | unknown[];

/** How to make a valid value wrong in one place. */
type Way = 'replace' | 'swap' | 'drop' | 'add' | 'wrap' | 'repeat';

/** A valid value with one fault somewhere in it. */
export function mutated(valid: Arbitrary<unknown>, wrong: Arbitrary<unknown>): Arbitrary<unknown> {
  const way = fc.oneof(
    { weight: 6, arbitrary: fc.constant<Way>('replace') },
    { weight: 4, arbitrary: fc.constant<Way>('swap') },
    { weight: 1, arbitrary: fc.constantFrom<Way>('drop', 'add', 'wrap', 'repeat') },
  );
  const key = fc.constantFrom('unknown', '__proto__', 'constructor', 'Private', 'toJSON', 'then');
  return fc
    .tuple(valid, fc.nat(1_000_000), wrong, way, key)
    .map(([value, place, what, how, name]) => mutate(value, place, what, how, name));
}

function mutate(value: unknown, place: number, what: unknown, how: Way, name: string): unknown {
  const copy = structuredClone(value);
  const places = placesOf(copy, []);
  if (places.length === 0) return what;
  const { tree, key } = places[place % places.length]!;
  const at = tree as Record<string, unknown>;
  switch (how) {
    case 'replace':
      at[key] = what;
      break;
    case 'swap':
      at[key] = ofAnotherType(at[key]);
      break;
    case 'drop':
      delete at[key];
      break;
    case 'add':
      // Defines an own property, whatever its name.
      Object.defineProperty(at, name, { value: what, enumerable: true, configurable: true });
      break;
    case 'wrap':
      at[key] = [at[key]];
      break;
    case 'repeat':
      at[key] = Array.from({ length: 300 }, () => at[key]);
      break;
  }
  return copy;
}

/** What a careless reader confuses: a map with a list, a text with a number. */
function ofAnotherType(value: unknown): unknown {
  if (Array.isArray(value)) return value.length % 2 === 0 ? {} : { ...value, length: value.length };
  if (value instanceof Uint8Array) return [...value];
  if (typeof value === 'string') return value === '' ? 0 : [value];
  if (typeof value === 'number') return String(value);
  return typeof value === 'boolean' ? Number(value) : [];
}

function placesOf(value: unknown, found: { tree: Tree; key: string }[]): typeof found {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return found;
  for (const [key, each] of Object.entries(value)) {
    found.push({ tree: value as Tree, key });
    placesOf(each, found);
  }
  return found;
}
