import type { SetAside } from '../set-aside.js';
import type { Kind, Store, StoreChange, StoreEvent } from '../store/store.js';
import { serviceAttributes, nodeAttributes } from './present/event.js';

/** Events kept for `since`, as many as Docker keeps. */
export const EVENTS_KEPT = 256;

/** One line of `GET /events`. */
export interface ClusterEvent {
  readonly Type: 'node' | 'service' | 'network' | 'secret' | 'config';
  readonly Action: 'create' | 'update' | 'remove';
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly scope: 'swarm';
  /** Seconds. */
  readonly time: number;
  readonly timeNano: number;
}

/**
 * When it happened, in milliseconds since the epoch. Exact to the microsecond, as the times of requests are:
 * nanoseconds since the epoch are more than a number holds, and come out a hair too early or too late.
 */
export function timeMs({ timeNano }: Pick<ClusterEvent, 'timeNano'>): number {
  return Math.round(timeNano / 1e3) / 1e3;
}

/**
 * Turns the store's changes into Docker's events, and keeps the last ones. Order, times and texts follow from the
 * log alone, so that every manager has the same.
 */
export class EventFeed {
  readonly #aside: SetAside;
  readonly #kept: ClusterEvent[] = [];
  readonly #listeners = new Set<(event: ClusterEvent) => void>();
  readonly #end: () => void;

  /** Watches the store until `close`. */
  constructor(aside: SetAside, store: Pick<Store, 'watch'>) {
    this.#aside = aside;
    this.#end = store.watch((change) => this.#take(change));
  }

  close(): void {
    this.#end();
    this.#listeners.clear();
  }

  /** Kept events from `sinceMs` (milliseconds since the epoch) on, oldest first. */
  since(sinceMs: number): readonly ClusterEvent[] {
    return this.#kept.filter((event) => timeMs(event) >= sinceMs);
  }

  /** Returns a function that stops listening. */
  listen(listener: (event: ClusterEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(change: StoreChange): void {
    if (change.reset) return;
    this.#aside.events(change.events, (source) => {
      const event = toEvent(source, change.timeMs);
      if (event === undefined) return;
      this.#kept.push(event);
      if (this.#kept.length > EVENTS_KEPT) this.#kept.shift();
      for (const listener of this.#listeners) listener(event);
    });
  }
}

function toEvent(event: StoreEvent, atMs: number): ClusterEvent | undefined {
  if (!isShown(event)) return undefined;
  return {
    Type: event.kind,
    Action: event.action,
    Actor: { ID: event.object.ID, Attributes: attributes(event) },
    scope: 'swarm',
    time: Math.floor(atMs / 1000),
    timeNano: atMs * 1e6,
  };
}

type ShownEvent = Extract<StoreEvent, { readonly kind: ClusterEvent['Type'] }>;

/** Kinds without events in Docker, and those that Docker does not know. */
const HIDDEN: readonly Kind[] = ['task', 'cluster', 'revision', 'removed-node'];

function isShown(event: StoreEvent): event is ShownEvent {
  return !HIDDEN.includes(event.kind);
}

function attributes(event: ShownEvent): Record<string, string> {
  if (event.kind === 'node') {
    return nodeAttributes(event.object, event.action === 'update' ? event.previous : undefined);
  }
  if (event.kind === 'service') {
    return serviceAttributes(event.object, event.action === 'update' ? event.previous : undefined);
  }
  return { name: event.object.Spec.Name };
}
