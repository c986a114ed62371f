import {
  type EndpointSpec,
  type PortConfig,
  publishedKey,
  type PortKey,
  type Service,
} from '@swarm/api';
import type { View } from '../store/store.js';

/** A service that publishes a port another one asks for. */
export interface PortHolder {
  readonly service: Pick<Service, 'ID' | 'Spec' | 'PendingDelete'>;
  /** The port as its holder publishes it. */
  readonly port: PortConfig;
  /** Whether the holder is giving the port up: its removal, or an update that drops the port, is under way. */
  readonly isLeaving: boolean;
}

/** Finds the services that have to do with a port; see `portKeysOf`. */
export type ByPort = (
  key: PortKey,
) => Iterable<Pick<Service, 'ID' | 'Spec' | 'PendingDelete' | 'Endpoint'>>;

/**
 * Finds a service that already publishes one of these ports; prefers one that keeps the port to one that
 * is leaving. A port published in ingress mode is taken on every node, for both modes; one published in
 * host mode excludes only ingress mode (two services may share it, on different nodes).
 * @param serviceId the service itself, on an update: its own ports do not conflict
 */
export function publishHolder(
  byPort: ByPort,
  serviceId: string | undefined,
  spec: EndpointSpec | undefined,
): PortHolder | undefined {
  let leaving: PortHolder | undefined;
  for (const wanted of (spec?.Ports ?? []).filter(isFixed)) {
    const key = publishedKey(wanted);
    for (const service of byPort(key)) {
      if (service.ID === serviceId) continue;
      const asked = service.Spec.EndpointSpec?.Ports ?? [];
      for (const port of [...asked, ...(service.Endpoint.Ports ?? [])]) {
        if (publishedKey(port) !== key || !(isIngress(wanted) || isIngress(port))) continue;
        // A dynamic port keeps the number it was given.
        const isDropped =
          !asked.some((other) => isFixed(other) && publishedKey(other) === key) &&
          !asked.some((other) => !isFixed(other) && isSameTarget(other, port));
        const holder = { service, port, isLeaving: service.PendingDelete === true || isDropped };
        if (!holder.isLeaving) return holder;
        leaving ??= holder;
      }
    }
  }
  return leaving;
}

function isSameTarget(a: PortConfig, b: PortConfig): boolean {
  return a.Protocol === b.Protocol && a.TargetPort === b.TargetPort;
}

/** Why a service cannot publish these ports, in Docker's words; undefined when it can. */
export function publishConflict(
  view: View,
  serviceId: string | undefined,
  spec: EndpointSpec | undefined,
): string | undefined {
  const holder = publishHolder((key) => view.servicesByPort(key), serviceId, spec);
  return holder === undefined ? undefined : conflictWith(holder);
}

/** The conflict in Docker's words. */
export function conflictWith({ service, port }: PortHolder): string {
  const mode = isIngress(port) ? 'an ingress port' : 'a host-published port';
  return `port '${port.PublishedPort}' is already in use by service '${service.Spec.Name}' (${service.ID}) as ${mode}`;
}

export function isIngress(port: PortConfig): boolean {
  return port.PublishMode === 'ingress';
}

/** Whether the spec names the published port; 0 means "choose one". */
export function isFixed(port: PortConfig): boolean {
  return (port.PublishedPort ?? 0) > 0;
}
