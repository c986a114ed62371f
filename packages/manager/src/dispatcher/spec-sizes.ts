import { sizeBytes, type Task } from '@swarm/api';

/** Bytes of a task in a log entry besides what is measured. */
const TASK_COST_BYTES = 1024;
/** Most bytes that a number, or the head of a text, list or map takes. */
const VALUE_COST_BYTES = 9;

/** Estimates the bytes of a task in a log entry. Tasks of a service share their parts, which are measured once. */
export class SpecSizes {
  readonly #parts = new WeakMap<object, number>();

  of({ Spec, ServiceLabels, Endpoint, Status }: Task): number {
    const shared = this.#part(Spec) + this.#part(ServiceLabels) + this.#part(Endpoint);
    return TASK_COST_BYTES + shared + sizeBytes(Status);
  }

  #part(part: unknown): number {
    if (typeof part !== 'object' || part === null) return VALUE_COST_BYTES;
    let bytes = this.#parts.get(part);
    if (bytes === undefined) {
      bytes = sizeBytes(part);
      this.#parts.set(part, bytes);
    }
    return bytes;
  }
}
