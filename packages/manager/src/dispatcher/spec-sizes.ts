import type { Task } from '@swarm/api';

/** What a task takes in a log entry beside what is measured, in bytes. */
const TASK_COST_BYTES = 1024;
/** What a number or the head of a text, list or map takes at most. */
const VALUE_COST_BYTES = 9;
/** Nothing that is stored is deeper. */
const DEPTH_LIMIT = 64;

/** Estimates what a task takes in a log entry. All tasks of a service share their parts, measured once. */
export class SpecSizes {
  readonly #parts = new WeakMap<object, number>();

  of({ Spec, ServiceLabels, Endpoint, Status }: Task): number {
    const shared = this.#part(Spec) + this.#part(ServiceLabels) + this.#part(Endpoint);
    return TASK_COST_BYTES + shared + sizeOf(Status, 0);
  }

  #part(part: unknown): number {
    if (typeof part !== 'object' || part === null) return VALUE_COST_BYTES;
    let bytes = this.#parts.get(part);
    if (bytes === undefined) {
      bytes = sizeOf(part, 0);
      this.#parts.set(part, bytes);
    }
    return bytes;
  }
}

function sizeOf(value: unknown, depth: number): number {
  if (typeof value === 'string') return VALUE_COST_BYTES + value.length;
  if (typeof value !== 'object' || value === null || depth > DEPTH_LIMIT) return VALUE_COST_BYTES;
  let bytes = VALUE_COST_BYTES;
  for (const [key, inner] of Object.entries(value)) {
    bytes += VALUE_COST_BYTES + key.length + sizeOf(inner, depth + 1);
  }
  return bytes;
}
