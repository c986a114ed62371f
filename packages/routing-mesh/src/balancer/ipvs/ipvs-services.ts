import type { IpAddress } from '@swarm/api';
import { NetlinkError } from '../../kernel/netlink.js';
import {
  deleteDestination,
  deleteService,
  type Destination,
  type ListedDestination,
} from '../../netlink/ipvs.js';
import type { ModelPort, PortChange } from '../nftables/model.js';
import type { IpvsSocket } from './ipvs-socket.js';
import { placeKey, planService, type PresentService, type WantedService } from './service-plan.js';
import { keyedService, type ServiceKey, serviceKey, wantedServices } from './wanted-services.js';

/** Services whose destinations one check compares: they take turns, so a check costs the same with any number. */
const CHECKED_AT_ONCE = 100;

const NOTHING: ReadonlyMap<ServiceKey, WantedService> = new Map();

/**
 * Our services in the kernel's IPVS. It compares what is wanted with what it last wrote, and asks the kernel only when
 * it does not know: at the start, after a refusal, and in checks.
 *
 * Invariant: while `#present` is defined, the kernel has that, unless somebody else changed it.
 */
export class IpvsServices {
  readonly #socket: IpvsSocket;
  readonly #hasIpv6: boolean;
  /** Of every published port. */
  readonly #wanted = new Map<ServiceKey, WantedService>();
  #present: Map<ServiceKey, PresentService> | undefined;
  /** Before the first state nothing is wanted, whatever there is. */
  #hasState = false;
  /** Services with destinations that are kept for their connections alone. */
  readonly #draining = new Set<ServiceKey>();
  /** Which services lead to an address. */
  readonly #byAddress = new Map<IpAddress, Set<ServiceKey>>();
  /** Of those still to be checked in this round. */
  #toCheck: ServiceKey[] = [];
  #isGone: (address: IpAddress) => boolean = () => false;

  constructor(socket: IpvsSocket, { hasIpv6 }: { readonly hasIpv6: boolean }) {
    this.#socket = socket;
    this.#hasIpv6 = hasIpv6;
  }

  /** What leads where, for explanations: services by key. */
  get wanted(): ReadonlyMap<ServiceKey, WantedService> {
    return this.#wanted;
  }

  /**
   * Makes the kernel lead clients as these changes of ports say. Connections to endpoints that are gone go on, except
   * to nodes that are gone.
   * @param isGone whether the node behind an address is gone or down
   * @param isNodeGone whether that is true of a node for the first time
   * @throws NetlinkError when the kernel does not hold it; the next call compares everything again
   */
  follow(
    changes: Iterable<PortChange>,
    isGone: (address: IpAddress) => boolean,
    isNodeGone: boolean,
  ): void {
    const changed = this.#want(changes);
    this.#hasState = true;
    this.#isGone = isGone;
    if (isNodeGone) for (const key of this.#draining) changed.add(key);
    const isKnown = this.#present !== undefined;
    try {
      this.#holdSafely(changed);
    } catch (error) {
      // Somebody else may have changed what it was planned from.
      if (!isKnown || !(error instanceof NetlinkError)) throw error;
      this.#holdSafely(changed);
    }
  }

  #holdSafely(changed: ReadonlySet<ServiceKey>): void {
    try {
      this.#hold(changed);
    } catch (error) {
      this.#present = undefined;
      throw error;
    }
  }

  /**
   * Removes the way to these addresses, and what is connected through it. A check adds it again if it is still wanted.
   * @throws NetlinkError when the kernel refuses; the next check compares everything
   */
  cut(addresses: readonly IpAddress[]): void {
    try {
      for (const address of addresses) {
        for (const key of this.#byAddress.get(address) ?? []) this.#cutFrom(key, address);
        this.#byAddress.delete(address);
      }
    } catch (error) {
      this.#present = undefined;
      throw error;
    }
  }

  #cutFrom(key: ServiceKey, address: IpAddress): void {
    const service = this.#present?.get(key);
    if (service === undefined) return;
    const left = new Map(service.destinations);
    for (const [place, destination] of service.destinations) {
      if (destination.address !== address) continue;
      this.#socket.send(deleteDestination(keyedService(key), destination));
      left.delete(place);
    }
    this.#present!.set(key, { ...service, destinations: left });
  }

  /**
   * Restores what somebody changed, and removes destinations whose last connection has ended. Leaves alone what an
   * earlier process left, until the first state says what is wanted.
   * @returns whether somebody had changed something
   * @throws NetlinkError when the kernel does not take it
   */
  repair(): boolean {
    if (!this.#hasState) return false;
    if (this.#present === undefined) {
      this.#holdSafely(new Set());
      return true;
    }
    try {
      const isAnyChanged = this.#lookAtServices();
      const checked = new Set([...this.#draining, ...this.#nextToCheck()]);
      return (
        [...checked]
          .map((key) => this.#lookAt(key, this.#present!.get(key)?.scheduler))
          .includes(true) || isAnyChanged
      );
    } catch (error) {
      this.#present = undefined;
      throw error;
    }
  }

  /** Removes all of ours. */
  clear(): void {
    for (const service of this.#socket.services()) this.#socket.send(deleteService(service));
    this.#present = undefined;
  }

  /** @returns services whose wanted destinations may have changed */
  #want(changes: Iterable<PortChange>): Set<ServiceKey> {
    const changed = new Set<ServiceKey>();
    const of = (port: ModelPort | undefined) =>
      port === undefined ? NOTHING : wantedServices(port, this.#hasIpv6);
    for (const { before, after } of changes) {
      for (const key of of(before).keys()) {
        changed.add(key);
        this.#wanted.delete(key);
      }
      for (const [key, service] of of(after)) {
        changed.add(key);
        this.#wanted.set(key, service);
      }
    }
    return changed;
  }

  #hold(changed: ReadonlySet<ServiceKey>): void {
    if (this.#present === undefined) {
      this.#readAll();
      for (const key of new Set([...this.#present!.keys(), ...this.#wanted.keys()]))
        this.#make(key);
      return;
    }
    for (const key of changed) this.#make(key);
  }

  #readAll(): void {
    this.#byAddress.clear();
    this.#draining.clear();
    this.#present = new Map();
    for (const service of this.#socket.services()) {
      const destinations = byPlace(this.#socket.destinations(service));
      this.#know(serviceKey(service), { scheduler: service.scheduler, destinations });
    }
  }

  /** @returns whether it took a change */
  #make(key: ServiceKey): boolean {
    const service = keyedService(key);
    const present = this.#present!.get(key);
    const plan = planService(service, present, this.#wanted.get(key), this.#isGone);
    for (const request of plan.requests) this.#socket.send(request);
    this.#know(key, plan.after);
    if (plan.isDraining) this.#draining.add(key);
    else this.#draining.delete(key);
    return plan.requests.length > 0;
  }

  #know(key: ServiceKey, service: PresentService | undefined): void {
    for (const { address } of this.#present!.get(key)?.destinations.values() ?? []) {
      const keys = this.#byAddress.get(address);
      keys?.delete(key);
      if (keys?.size === 0) this.#byAddress.delete(address);
    }
    if (service === undefined) this.#present!.delete(key);
    else this.#present!.set(key, service);
    for (const { address } of service?.destinations.values() ?? []) {
      const keys = this.#byAddress.get(address);
      if (keys === undefined) this.#byAddress.set(address, new Set([key]));
      else keys.add(key);
    }
  }

  /** Compares which services there are, and how they choose. One request. */
  #lookAtServices(): boolean {
    const listed = new Map(
      this.#socket.services().map((service) => [serviceKey(service), service.scheduler]),
    );
    const changed = new Set<ServiceKey>();
    for (const [key, { scheduler }] of this.#present!) {
      if (listed.get(key) !== scheduler) changed.add(key);
    }
    for (const key of listed.keys()) if (!this.#present!.has(key)) changed.add(key);
    for (const key of changed) this.#lookAt(key, listed.get(key));
    return changed.size > 0;
  }

  #nextToCheck(): readonly ServiceKey[] {
    if (this.#toCheck.length === 0) this.#toCheck = [...this.#present!.keys()];
    return this.#toCheck.splice(0, CHECKED_AT_ONCE);
  }

  /**
   * Compares one service with what the kernel has of it.
   * @param scheduler how the kernel's chooses; undefined: there is no such service
   * @returns whether somebody had changed it
   */
  #lookAt(key: ServiceKey, scheduler?: string): boolean {
    const service = keyedService(key);
    const before = this.#present!.get(key);
    const wanted = this.#wanted.get(key)?.destinations;
    const listed = scheduler === undefined ? [] : this.#socket.destinations(service);
    const found = byPlace(listed);
    const isChanged = scheduler !== before?.scheduler || !sameDestinations(found, before);
    // A destination without connections that nobody wants has drained.
    const idle = listed.filter(
      ({ connections, ...destination }) =>
        connections === 0 && !(wanted?.has(placeKey(destination)) ?? false),
    );
    for (const destination of idle) {
      this.#socket.send(deleteDestination(service, destination));
      found.delete(placeKey(destination));
    }
    this.#know(key, scheduler === undefined ? undefined : { scheduler, destinations: found });
    this.#make(key);
    return isChanged;
  }
}

function byPlace(listed: readonly ListedDestination[]): Map<string, Destination> {
  return new Map(
    listed.map(({ address, port, weight }) => {
      const destination = { address, port, weight };
      return [placeKey(destination), destination];
    }),
  );
}

function sameDestinations(
  found: ReadonlyMap<string, Destination>,
  before: PresentService | undefined,
): boolean {
  if (found.size !== (before?.destinations.size ?? 0)) return false;
  for (const [key, { weight }] of found) {
    if (before?.destinations.get(key)?.weight !== weight) return false;
  }
  return true;
}
