/**
 * `next` with every part that equals the same part of `previous` replaced by that part. Saves memory
 * and lets readers compare parts by identity: `event.object.Spec === event.previous.Spec`.
 * Only parts of plain data are replaced: objects, arrays, strings, numbers, booleans, null and undefined.
 */
export function share(previous: unknown, next: unknown): unknown {
  if (previous === next) return previous;
  if (!isPlain(previous) || !isPlain(next) || Array.isArray(previous) !== Array.isArray(next))
    return next;
  const old = previous as Record<string, unknown>;
  const young = next as Record<string, unknown>;
  const keys = Object.keys(young);
  let equal = keys.length === Object.keys(old).length;
  for (const key of keys) {
    const had = Object.hasOwn(old, key);
    const part = had ? share(old[key], young[key]) : young[key];
    // `next` was just decoded, and nothing else holds it yet.
    if (part !== young[key]) young[key] = part;
    if (!had || part !== old[key]) equal = false;
  }
  return equal ? previous : next;
}

function isPlain(value: unknown): value is object {
  return Array.isArray(value) || isPlainObject(value);
}

/** Whether the value is a map of fields, and not a list, bytes or a time. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Freezes a value with all its parts. For tests, in which a mutation must throw. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (value instanceof Uint8Array) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
