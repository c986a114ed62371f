import { sizeBytes, type Task } from '@swarm/api';

/** What a task takes in a log entry beside what is measured, in bytes. */
const TASK_COST_BYTES = 1024;
/** What a number or the head of a text, list or map takes at most. */
const VALUE_COST_BYTES = 9;

/** Estimates what a task takes in a log entry. All tasks of a service share their parts, measured once. */
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
