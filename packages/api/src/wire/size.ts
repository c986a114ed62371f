/** Most bytes of a number, or of the head of a text, list or map. */
const VALUE_COST_BYTES = 9;
/** Nothing stored or sent is nested deeper. */
const DEPTH_LIMIT = 64;

/** Estimates the size of a plain value as MessagePack, in bytes; a text counts its UTF-16 units. */
export function sizeBytes(value: unknown, depth = 0): number {
  if (typeof value === 'string') return VALUE_COST_BYTES + value.length;
  if (typeof value !== 'object' || value === null || depth > DEPTH_LIMIT) return VALUE_COST_BYTES;
  let bytes = VALUE_COST_BYTES;
  for (const [key, inner] of Object.entries(value)) {
    bytes += VALUE_COST_BYTES + key.length + sizeBytes(inner, depth + 1);
  }
  return bytes;
}
