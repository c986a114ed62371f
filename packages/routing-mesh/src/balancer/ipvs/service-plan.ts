import type { IpAddress } from '@swarm/api';
import {
  deleteDestination,
  deleteService,
  type Destination,
  type MarkedService,
  newDestination,
  newService,
  type Scheduler,
  setDestination,
  setService,
} from '../../netlink/ipvs.js';
import { hasConnections } from './marks.js';

/** A service as it should be. */
export interface WantedService {
  readonly scheduler: Scheduler;
  /** By {@link placeKey}. */
  readonly destinations: ReadonlyMap<string, Destination>;
}

/** A service as the kernel has it. */
export interface PresentService {
  /** Somebody else may have changed it. */
  readonly scheduler: string;
  /** By {@link placeKey}. */
  readonly destinations: ReadonlyMap<string, Destination>;
}

/** Requests that make a service what is wanted, and what it is then. */
export interface ServicePlan {
  /** In this order. */
  readonly requests: readonly Buffer[];
  /** Undefined: there is no such service any more. */
  readonly after: PresentService | undefined;
  /** Destinations stay for their connections alone. */
  readonly isDraining: boolean;
}

/** What tells destinations of a service apart. */
export function placeKey({ address, port }: Pick<Destination, 'address' | 'port'>): string {
  return `${address} ${port}`;
}

/**
 * Plans the change of one service. What is new comes first and what goes comes last, so a connection that arrives in
 * between finds a destination.
 *
 * A destination that is not wanted any more gets no connections (weight 0) and keeps those it has; the kernel would
 * drop their packets if it were removed. It goes at once where there is nothing to keep: datagrams, which have to
 * find another, and nodes that are gone, whose clients would wait.
 * @param isGone whether the node behind an address is gone or down
 */
export function planService(
  service: MarkedService,
  present: PresentService | undefined,
  wanted: WantedService | undefined,
  isGone: (address: IpAddress) => boolean,
): ServicePlan {
  if (present === undefined && wanted === undefined)
    return { requests: [], after: undefined, isDraining: false };
  const requests: Buffer[] = [];
  const scheduler = wanted?.scheduler ?? present!.scheduler;
  if (present === undefined) requests.push(newService(service, wanted!.scheduler));
  else if (wanted !== undefined && present.scheduler !== wanted.scheduler)
    requests.push(setService(service, wanted.scheduler));

  const after = new Map<string, Destination>();
  const last: Buffer[] = [];
  for (const [key, destination] of wanted?.destinations ?? []) {
    const before = present?.destinations.get(key);
    after.set(key, destination);
    if (before === undefined) requests.push(newDestination(service, destination));
    else if (before.weight !== destination.weight) last.push(setDestination(service, destination));
  }
  let isDraining = false;
  for (const [key, destination] of present?.destinations ?? []) {
    if (after.has(key)) continue;
    if (!hasConnections(service.mark) || isGone(destination.address)) {
      last.push(deleteDestination(service, destination));
      continue;
    }
    isDraining = true;
    const drained = { ...destination, weight: 0 };
    after.set(key, drained);
    if (destination.weight !== 0) last.push(setDestination(service, drained));
  }
  // Its destinations go with it.
  if (wanted === undefined && !isDraining)
    return { requests: [deleteService(service)], after: undefined, isDraining };
  return {
    requests: [...requests, ...last],
    after: { scheduler, destinations: after },
    isDraining,
  };
}
