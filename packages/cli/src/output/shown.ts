import { escapeJson, showControls } from '@swarm/api/client';

/**
 * Copies what a daemon sent, spelling out the control characters of every string, including keys. For output
 * laid out with line feeds and tabs: a worker's string then cannot add any.
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

/** JSON without any character that a terminal obeys: the same data to a parser. */
export function jsonText(value: unknown, indent?: number): string {
  return escapeJson(JSON.stringify(value, null, indent));
}
