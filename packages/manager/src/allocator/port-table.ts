import {
  type EndpointSpec,
  type PortConfig,
  publishedKey,
  type PortKey,
  type Service,
  type ServiceEndpoint,
} from '@swarm/api';
import { deepEqual } from '../store/deep-equal.js';
import type { View } from '../store/store.js';
import { isFixed, isIngress } from './publish-conflict.js';

/** The range from which ports are chosen when a service names none (Docker's range). */
export const DYNAMIC_PORT_FIRST = 30_000;
export const DYNAMIC_PORT_LAST = 32_767;

/** The ports, or why none could be given, as a sentence for the user. */
export type Allocation = { readonly ports: readonly PortConfig[] } | { readonly error: string };

interface Holder {
  readonly service: Service;
  readonly mode: 'ingress' | 'host';
}

/** Whether the service has what its spec asks for. */
export function isAllocated(service: Service): boolean {
  const spec = service.Spec.EndpointSpec ?? {};
  return (
    service.AllocationError === undefined &&
    deepEqual(service.Endpoint.Spec, spec) &&
    (service.Endpoint.Ports?.length ?? 0) === (spec.Ports?.length ?? 0)
  );
}

/** Who holds which published port in the cluster. Built from a view and updated while allocating. */
export class PortTable {
  /** Actual holders: of allocated ingress ports, and of host ports that a spec fixes. */
  readonly #holders = new Map<PortKey, Holder[]>();
  /** Ports that specs ask for, whether or not they can have them. Never chosen as dynamic ports. */
  readonly #wanted = new Set<PortKey>();

  static of(view: View): PortTable {
    const table = new PortTable();
    for (const service of view.list('service')) table.#add(service);
    return table;
  }

  /**
   * Chooses ports for the service's spec, all or none: fixed ones as given, dynamic ones as before if the
   * service had one for the same target, else the lowest free.
   */
  allocate(service: Service): Allocation {
    const spec = service.Spec.EndpointSpec?.Ports ?? [];
    const ports = new Array<PortConfig>(spec.length);
    const mine = new Set<PortKey>();
    // Fixed ports first, so that a dynamic one cannot take a port that the same spec names.
    for (const [at, port] of spec.entries()) {
      if (!isFixed(port)) continue;
      const conflict = this.#conflict(service, port);
      if (conflict !== undefined) return { error: conflict };
      if (isIngress(port)) mine.add(publishedKey(port));
      ports[at] = port;
    }
    const before = (service.Endpoint.Ports ?? []).filter(isIngress);
    for (const [at, port] of spec.entries()) {
      if (isFixed(port)) continue;
      if (!isIngress(port)) {
        // The node chooses the port and reports it in the task's PortStatus.
        const { PublishedPort: _chosen, ...open } = port;
        ports[at] = open;
        continue;
      }
      const chosen = this.#keep(service, port, before, mine) ?? this.#choose(service, port, mine);
      if (chosen === undefined) {
        return {
          error: `no ${port.Protocol} port between ${DYNAMIC_PORT_FIRST} and ${DYNAMIC_PORT_LAST} is free for target port ${port.TargetPort}: remove a service or give a published port outside this range`,
        };
      }
      mine.add(publishedKey(chosen));
      ports[at] = chosen;
    }
    return { ports };
  }

  /** Records what a service was given. */
  give(service: Service, ports: readonly PortConfig[]): void {
    for (const holders of this.#holders.values()) {
      const at = holders.findIndex((holder) => holder.service.ID === service.ID);
      if (at >= 0) holders.splice(at, 1);
    }
    this.#add({ ...service, Endpoint: { ...service.Endpoint, Ports: ports } });
  }

  #add(service: Service): void {
    for (const port of service.Endpoint.Ports ?? []) {
      if (isIngress(port)) this.#hold(port, { service, mode: 'ingress' });
    }
    for (const port of service.Spec.EndpointSpec?.Ports ?? []) {
      if (!isFixed(port)) continue;
      this.#wanted.add(publishedKey(port));
      if (!isIngress(port)) this.#hold(port, { service, mode: 'host' });
    }
  }

  #hold(port: PortConfig, holder: Holder): void {
    const key = publishedKey(port);
    const holders = this.#holders.get(key);
    if (holders === undefined) this.#holders.set(key, [holder]);
    else holders.push(holder);
  }

  #conflict(service: Service, port: PortConfig): string | undefined {
    for (const holder of this.#holders.get(publishedKey(port)) ?? []) {
      if (holder.service.ID === service.ID) continue;
      // Two host-mode services can share a port: the scheduler keeps them on different nodes.
      if (holder.mode === 'host' && !isIngress(port)) continue;
      const { Name } = holder.service.Spec;
      const how = holder.mode === 'ingress' ? 'an ingress port' : 'a host-published port';
      return `port '${port.PublishedPort}' (${port.Protocol}) is already in use by service '${Name}' (${holder.service.ID}) as ${how}: publish another port, or remove it there`;
    }
    return undefined;
  }

  #isFree(service: Service, port: PortConfig, mine: ReadonlySet<PortKey>): boolean {
    return !mine.has(publishedKey(port)) && this.#conflict(service, port) === undefined;
  }

  #keep(
    service: Service,
    port: PortConfig,
    before: readonly PortConfig[],
    mine: ReadonlySet<PortKey>,
  ): PortConfig | undefined {
    const candidates = before.filter(
      (old) => old.Protocol === port.Protocol && old.TargetPort === port.TargetPort,
    );
    for (const { PublishedPort = 0 } of candidates) {
      const kept = { ...port, PublishedPort };
      // A port that was fixed before may lie outside the range; the user chose it, so it stays too.
      if (this.#isFree(service, kept, mine)) return kept;
    }
    return undefined;
  }

  #choose(service: Service, port: PortConfig, mine: ReadonlySet<PortKey>): PortConfig | undefined {
    for (let number = DYNAMIC_PORT_FIRST; number <= DYNAMIC_PORT_LAST; number++) {
      const chosen = { ...port, PublishedPort: number };
      if (this.#wanted.has(publishedKey(chosen)) || !this.#isFree(service, chosen, mine)) continue;
      return chosen;
    }
    return undefined;
  }
}

/** Builds the endpoint with these ports. Keeps virtual addresses, which are allocated separately. */
export function endpointOf(service: Service, ports: readonly PortConfig[]): ServiceEndpoint {
  const spec: EndpointSpec = service.Spec.EndpointSpec ?? {};
  const { VirtualIPs } = service.Endpoint;
  return {
    Spec: spec,
    ...(ports.length === 0 ? {} : { Ports: ports }),
    ...(VirtualIPs === undefined ? {} : { VirtualIPs }),
  };
}
