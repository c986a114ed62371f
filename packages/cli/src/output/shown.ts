import { escapeJson, showControls } from '@swarm/api/client';

/**
 * A copy of what a daemon sent in which every string, keys included, spells its control characters out.
 * For forms whose layout is made of line feeds and tabs: a string of a worker can then add none.
 */
export function shown<T>(value: T): T {
  return copy(value) as T;
}

function copy(value: unknown): unknown {
  if (typeof value === 'string') return showControls(value);
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  // Defined, not assigned: a key may be `__proto__`.
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [showControls(key), copy(each)]),
  );
}

/** JSON without a character that a terminal obeys: the same data to whoever parses it. */
export function jsonText(value: unknown, indent?: number): string {
  return escapeJson(JSON.stringify(value, null, indent));
}
