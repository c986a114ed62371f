import assert from 'node:assert/strict';
import { FIRST_ENDPOINT_ID, LAST_ENDPOINT_ID } from '../../layout.js';

/** Ids of endpoints of this node. Freed ones rest as long as possible, because connections still carry them. */
export class EndpointIds {
  readonly #used = new Set<number>();
  #next: number;

  constructor(first = FIRST_ENDPOINT_ID) {
    this.#next = first;
  }

  take(): number {
    assert(this.#used.size <= LAST_ENDPOINT_ID - FIRST_ENDPOINT_ID, 'no endpoint id is free');
    while (this.#used.has(this.#next)) this.#next = following(this.#next);
    const id = this.#next;
    this.#used.add(id);
    this.#next = following(id);
    return id;
  }

  release(id: number): void {
    this.#used.delete(id);
  }
}

function following(id: number): number {
  return id === LAST_ENDPOINT_ID ? FIRST_ENDPOINT_ID : id + 1;
}
