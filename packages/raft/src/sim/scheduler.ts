/** Something that will happen at a moment of virtual time. */
export interface SimEvent {
  readonly atUs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/**
 * Virtual time in whole microseconds: a priority queue of events. Those due at the same moment happen
 * in the order they were scheduled, so a run has exactly one order of events.
 */
export class Scheduler {
  nowUs = 0;
  /** Events that have happened. */
  count = 0;
  private order = 0;
  private heap: SimEvent[] = [];

  get nowMs(): number {
    return this.nowUs / 1000;
  }

  /** @param delayUs rounded; below 0 counts as 0. */
  after(delayUs: number, run: () => void): SimEvent {
    const atUs = this.nowUs + Math.max(0, Math.round(delayUs));
    const event: SimEvent = { atUs, order: ++this.order, run, cancelled: false };
    this.push(event);
    return event;
  }

  /** Takes out the next event and sets the time to its moment; undefined when there is none. */
  next(): SimEvent | undefined {
    for (;;) {
      const event = this.pop();
      if (event === undefined) return undefined;
      if (event.cancelled) continue;
      this.nowUs = event.atUs;
      this.count++;
      return event;
    }
  }

  private push(event: SimEvent): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  private pop(): SimEvent | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}
