/**
 * Whether two JSON values mean the same. An empty value (`null`, `[]`, `{}`, `""`, `false`) counts as
 * absent, as it does after a round trip through SwarmKit's protocol buffers: some clients leave out what
 * others write as empty, and that difference must not restart tasks. Numbers are compared as they are,
 * since 0 and absent differ where a default applies. `Init: false` also differs from absent, because it
 * overrides the engine's default.
 */
export function meansSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (isAbsent(a) && isAbsent(b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    // One of them may be an object whose fields are all empty.
    return isEmpty(a) && isEmpty(b);
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b)) return isEmpty(a) && isEmpty(b);
    return a.length === b.length && a.every((item, index) => meansSame(item, b[index]));
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    if (key === 'Init') {
      if ((left[key] ?? null) !== (right[key] ?? null)) return false;
    } else if (!meansSame(left[key], right[key])) return false;
  }
  return true;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === '' || value === false;
}

function isEmpty(value: unknown): boolean {
  if (isAbsent(value)) return true;
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).every(([key, item]) =>
    key === 'Init' ? item === undefined || item === null : isEmpty(item),
  );
}
