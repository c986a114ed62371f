import { UsageError } from '../command.js';
import { splitPair } from '../flags/values.js';

/** Converts `--filter key=value` (repeatable) to the API's filter map. */
export function filterMap(
  items: readonly string[],
): Record<string, Record<string, true>> | undefined {
  if (items.length === 0) return undefined;
  const filters: Record<string, Record<string, true>> = {};
  for (const item of items) {
    if (!item.includes('=')) throw new UsageError(`invalid filter '${item}': use key=value`);
    const [key, value] = splitPair(item);
    filters[key] = { ...filters[key], [value]: true };
  }
  return filters;
}
