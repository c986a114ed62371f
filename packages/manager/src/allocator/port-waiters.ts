import { type PortConfig, type PortKey, publishedKey, type Service } from '@swarm/api';
import { isFixed, isIngress } from './publish-conflict.js';

type Protocol = PortConfig['Protocol'];

/**
 * The services that wait for a published port, by what they wait for. Whoever gives a port back wakes those
 * that want it and no others.
 */
export class PortWaiters {
  readonly #byKey = new Map<PortKey, Set<string>>();
  /** Services that wait for any port of the range. */
  readonly #open = new Map<Protocol, Set<string>>();
  readonly #wants = new Map<string, readonly Set<string>[]>();

  /** Follows a service: it waits if it has an allocation error. */
  follow(service: Service): void {
    this.forget(service.ID);
    if (service.AllocationError === undefined) return;
    const wants = new Set((service.Spec.EndpointSpec?.Ports ?? []).map((port) => this.#set(port)));
    for (const waiting of wants) waiting.add(service.ID);
    this.#wants.set(service.ID, [...wants]);
  }

  forget(serviceId: string): void {
    for (const waiting of this.#wants.get(serviceId) ?? []) waiting.delete(serviceId);
    this.#wants.delete(serviceId);
  }

  clear(): void {
    this.#byKey.clear();
    this.#open.clear();
    this.#wants.clear();
  }

  has(serviceId: string): boolean {
    return this.#wants.has(serviceId);
  }

  /** Who wants this port itself. */
  wanting(key: PortKey): Iterable<string> {
    return this.#byKey.get(key) ?? [];
  }

  /**
   * The next one that takes any port, which is enough: there is one port for it. Those that want other ports
   * besides may not be able to take it yet, so the one behind them comes with them.
   */
  next(protocol: Protocol): string[] {
    const next: string[] = [];
    for (const id of this.#open.get(protocol) ?? []) {
      next.push(id);
      if (this.#wants.get(id)?.length === 1) break;
    }
    return next;
  }

  #set(port: PortConfig): Set<string> {
    if (isFixed(port)) return setIn(this.#byKey, publishedKey(port));
    // A node chooses ports that are open in host mode, so nobody waits for those.
    return isIngress(port) ? setIn(this.#open, port.Protocol) : new Set();
  }
}

function setIn<K>(sets: Map<K, Set<string>>, key: K): Set<string> {
  let set = sets.get(key);
  if (set === undefined) {
    set = new Set();
    sets.set(key, set);
  }
  return set;
}
