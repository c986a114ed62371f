/** What a number or the head of a text, list or map takes at most. */
const VALUE_COST_BYTES = 9;
/** Nothing that is stored or sent is deeper. */
const DEPTH_LIMIT = 64;

/** Estimates what a plain value takes as MessagePack, in bytes; a text counts its UTF-16 units. */
export function sizeBytes(value: unknown, depth = 0): number {
  if (typeof value === 'string') return VALUE_COST_BYTES + value.length;
  if (typeof value !== 'object' || value === null || depth > DEPTH_LIMIT) return VALUE_COST_BYTES;
  let bytes = VALUE_COST_BYTES;
  for (const [key, inner] of Object.entries(value)) {
    bytes += VALUE_COST_BYTES + key.length + sizeBytes(inner, depth + 1);
  }
  return bytes;
}
