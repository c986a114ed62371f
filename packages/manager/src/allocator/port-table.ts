import {
  type EndpointSpec,
  type PortConfig,
  portKey,
  publishedKey,
  type PortKey,
  type Service,
  type ServiceEndpoint,
  type ServiceSpec,
} from '@swarm/api';
import { deepEqual } from '../store/deep-equal.js';
import type { View } from '../store/store.js';
import { type FreeSearch, LowestFree } from './lowest-free.js';
import { clusterPortConflict, clusterPortUse } from './cluster-ports.js';
import { isFixed, isIngress } from './publish-conflict.js';
import { hasVirtualAddresses } from './virtual-addresses.js';

type Protocol = PortConfig['Protocol'];

/** The range from which ports are chosen when a service names none (Docker's range). */
export const DYNAMIC_PORT_FIRST = 30_000;
export const DYNAMIC_PORT_LAST = 32_767;

/** The ports, or why none could be given, as a sentence for the user. */
export type Allocation = { readonly ports: readonly PortConfig[] } | { readonly error: string };

/** Whether the service has what its spec asks for. What the cluster itself needs is not looked at. */
export function isAllocated(service: Service): boolean {
  const spec = service.Spec.EndpointSpec ?? {};
  return (
    service.AllocationError === undefined &&
    deepEqual(service.Endpoint.Spec, spec) &&
    (service.Endpoint.Ports?.length ?? 0) === (spec.Ports?.length ?? 0) &&
    hasVirtualAddresses(service)
  );
}

/**
 * The ports that are chosen for services. Lives as long as the allocator, which reports what services give
 * back, so that choosing costs the same however many are taken.
 */
export class PortRange {
  readonly #store: View;
  readonly #free: Readonly<Record<Protocol, LowestFree>>;

  constructor(store: View) {
    this.#store = store;
    this.#free = { tcp: this.#of('tcp'), udp: this.#of('udp'), sctp: this.#of('sctp') };
  }

  #of(protocol: Protocol): LowestFree {
    // Ports that specs ask for are never chosen, whether or not their services can have them.
    const isHeld = (port: number) => isTaken(this.#store, portKey(protocol, port));
    return new LowestFree(DYNAMIC_PORT_FIRST, DYNAMIC_PORT_LAST, isHeld);
  }

  /** Whoever had the port, a service or a manager, has nothing to do with it any more. */
  release({ Protocol, PublishedPort = 0 }: Pick<PortConfig, 'Protocol' | 'PublishedPort'>): void {
    this.#free[Protocol].release(PublishedPort);
  }

  reset(): void {
    for (const free of Object.values(this.#free)) free.reset();
  }

  search(protocol: Protocol, isTaken: (port: number) => boolean): FreeSearch {
    return this.#free[protocol].search(isTaken);
  }
}

/** Gives services their published ports within one transaction. Looks only at who has to do with each port. */
export class PortTable {
  readonly #view: View;
  readonly #range: PortRange;
  readonly #searches = new Map<Protocol, FreeSearch>();

  constructor(view: View, range: PortRange) {
    this.#view = view;
    this.#range = range;
  }

  /**
   * Chooses ports for the service's spec, all or none: fixed ones as given, dynamic ones as before if the
   * service had one for the same target, else one that it had for another, else the lowest free.
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
      mine.add(publishedKey(port));
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
      // A port that was fixed before may lie outside the range; the user chose it, so it stays too.
      const had = before.filter(({ TargetPort }) => TargetPort === port.TargetPort);
      const kept = this.#keep(service, port, had, mine);
      if (kept === undefined) continue;
      mine.add(publishedKey(kept));
      ports[at] = kept;
    }
    const chosenBefore = before.filter(isChosen);
    for (const [at, port] of spec.entries()) {
      if (ports[at] !== undefined) continue;
      const chosen = this.#keep(service, port, chosenBefore, mine) ?? this.#choose(port);
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

  #conflict(service: Service, port: PortConfig): string | undefined {
    const own = clusterPortConflict(this.#view, port);
    if (own !== undefined) return own;
    const key = publishedKey(port);
    for (const other of this.#view.servicesByPort(key)) {
      if (other.ID === service.ID) continue;
      const mode = heldAs(other, key);
      // Two host-mode services can share a port: the scheduler keeps them on different nodes.
      if (mode === undefined || (mode === 'host' && !isIngress(port))) continue;
      const { Name } = other.Spec;
      const how = mode === 'ingress' ? 'an ingress port' : 'a host-published port';
      return `port '${port.PublishedPort}' (${port.Protocol}) is already in use by service '${Name}' (${other.ID}) as ${how}: publish another port, or remove it there`;
    }
    return undefined;
  }

  /** The first of these ports that the service can have. */
  #keep(
    service: Service,
    port: PortConfig,
    before: readonly PortConfig[],
    mine: ReadonlySet<PortKey>,
  ): PortConfig | undefined {
    for (const { Protocol, PublishedPort = 0 } of before) {
      const kept = { ...port, PublishedPort };
      if (Protocol !== port.Protocol || mine.has(publishedKey(kept))) continue;
      if (this.#conflict(service, kept) === undefined) return kept;
    }
    return undefined;
  }

  /** The transaction gives these ports back. */
  release(ports: readonly PortConfig[]): void {
    for (const { Protocol, PublishedPort = 0 } of ports)
      this.#search(Protocol).release(PublishedPort);
  }

  #choose(port: PortConfig): PortConfig | undefined {
    const PublishedPort = this.#search(port.Protocol).next();
    return PublishedPort === undefined ? undefined : { ...port, PublishedPort };
  }

  #search(protocol: Protocol): FreeSearch {
    let search = this.#searches.get(protocol);
    if (search === undefined) {
      search = this.#range.search(protocol, (port) => isTaken(this.#view, portKey(protocol, port)));
      this.#searches.set(protocol, search);
    }
    return search;
  }
}

/** How a service holds a port: an ingress port that it was given, or a host port that its spec fixes. */
function heldAs({ Spec, Endpoint }: Service, key: PortKey): PortConfig['PublishMode'] | undefined {
  const holds = (port: PortConfig) => isFixed(port) && publishedKey(port) === key;
  if (Endpoint.Ports?.some((port) => isIngress(port) && holds(port)) === true) return 'ingress';
  const asks = Spec.EndpointSpec?.Ports?.some((port) => !isIngress(port) && holds(port)) === true;
  return asks ? 'host' : undefined;
}

/**
 * What a service gave back with a change: ports that it no longer holds, or asks for, in the same way.
 * @param after undefined when the service is gone
 */
export function givenBack(before: Service, after: Service | undefined): PortConfig[] {
  if (
    after !== undefined &&
    before.Endpoint.Ports === after.Endpoint.Ports &&
    before.Spec.EndpointSpec?.Ports === after.Spec.EndpointSpec?.Ports
  )
    return [];
  const kept = new Set(after === undefined ? [] : uses(after).map(useKey));
  return uses(before)
    .filter((use) => !kept.has(useKey(use)))
    .map(({ port }) => port);
}

interface Use {
  readonly port: PortConfig;
  readonly isGiven: boolean;
}

function uses({ Spec, Endpoint }: Service): Use[] {
  const asked = (Spec.EndpointSpec?.Ports ?? []).map((port) => ({ port, isGiven: false }));
  const given = (Endpoint.Ports ?? []).map((port) => ({ port, isGiven: true }));
  return [...asked, ...given].filter(({ port }) => isFixed(port));
}

function useKey({ port, isGiven }: Use): string {
  return `${publishedKey(port)} ${port.PublishMode} ${isGiven}`;
}

function isChosen({ PublishedPort = 0 }: PortConfig): boolean {
  return PublishedPort >= DYNAMIC_PORT_FIRST && PublishedPort <= DYNAMIC_PORT_LAST;
}

/** Whether a service asks for the port or has it, or the cluster itself needs it. */
function isTaken(view: View, key: PortKey): boolean {
  return isAny(view.servicesByPort(key)) || clusterPortUse(view, key) !== undefined;
}

function isAny(items: Iterable<unknown>): boolean {
  for (const _ of items) return true;
  return false;
}

/**
 * The endpoint of a service that a client writes: one that publishes nothing, and never did, has nothing to wait
 * for. That saves the allocator a write.
 */
export function writtenEndpoint(
  spec: ServiceSpec,
  before: ServiceEndpoint | undefined,
): ServiceEndpoint {
  const { EndpointSpec = {} } = spec;
  if ((EndpointSpec.Ports?.length ?? 0) > 0 || (before?.Ports?.length ?? 0) > 0)
    return before ?? { Spec: {} };
  return { ...before, Spec: EndpointSpec };
}

/** Builds the endpoint with these ports and virtual addresses. */
export function endpointOf(
  service: Service,
  ports: readonly PortConfig[],
  addresses: NonNullable<ServiceEndpoint['VirtualIPs']>,
): ServiceEndpoint {
  const spec: EndpointSpec = service.Spec.EndpointSpec ?? {};
  return {
    Spec: spec,
    ...(ports.length === 0 ? {} : { Ports: ports }),
    ...(addresses.length === 0 ? {} : { VirtualIPs: addresses }),
  };
}
