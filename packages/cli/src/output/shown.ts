import { showControls } from '@swarm/api/client';

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

/** JSON leaves these as they are; showControls knows the rest. They only stand inside strings. */
const CONTROL_OF_JSON = /[^\n\x20-\x7e]/gu;

/** JSON without a character that a terminal obeys: the same data to whoever parses it. */
export function jsonText(value: unknown, indent?: number): string {
  return escapeJson(JSON.stringify(value, null, indent));
}

/** Spells control characters of a JSON text out as `\u009b`; line feeds between its parts stay. */
export function escapeJson(json: string): string {
  return json.replace(CONTROL_OF_JSON, (character) =>
    showControls(character) === character
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
