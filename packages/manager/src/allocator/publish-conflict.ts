import { type EndpointSpec, type PortConfig, publishedKey, type Service } from '@swarm/api';
import type { View } from '../store/store.js';

/** A service that publishes a port which another one asks for. */
export interface PortHolder {
  readonly service: Pick<Service, 'ID' | 'Spec' | 'PendingDelete'>;
  /** As the holder publishes it. */
  readonly port: PortConfig;
  /** It gives the port up already: its removal, or the update that drops the port, is under way. */
  readonly isLeaving: boolean;
}

/**
 * Who stands in the way of publishing these ports; one that stays before one that is leaving. A port
 * published in ingress mode is taken on every node, for both modes; one published in host mode excludes
 * only ingress mode elsewhere (two services may share it, on different nodes).
 * @param serviceId the service itself, on an update: its own ports are no conflict
 */
export function publishHolder(
  services: Iterable<Pick<Service, 'ID' | 'Spec' | 'PendingDelete' | 'Endpoint'>>,
  serviceId: string | undefined,
  spec: EndpointSpec | undefined,
): PortHolder | undefined {
  const wanted = (spec?.Ports ?? []).filter(isFixed);
  if (wanted.length === 0) return undefined;
  const ingress = new Set(wanted.filter(isIngress).map(publishedKey));
  const host = new Set(wanted.filter((port) => !isIngress(port)).map(publishedKey));
  let leaving: PortHolder | undefined;
  for (const service of services) {
    if (service.ID === serviceId) continue;
    const asked = service.Spec.EndpointSpec?.Ports ?? [];
    for (const port of [...asked, ...(service.Endpoint.Ports ?? [])].filter(isFixed)) {
      const key = publishedKey(port);
      if (!ingress.has(key) && !(isIngress(port) && host.has(key))) continue;
      // An open port keeps the number that it was given.
      const isDropped =
        !asked.some((other) => isFixed(other) && publishedKey(other) === key) &&
        !asked.some((other) => !isFixed(other) && isSameTarget(other, port));
      const holder = { service, port, isLeaving: service.PendingDelete === true || isDropped };
      if (!holder.isLeaving) return holder;
      leaving ??= holder;
    }
  }
  return leaving;
}

function isSameTarget(a: PortConfig, b: PortConfig): boolean {
  return a.Protocol === b.Protocol && a.TargetPort === b.TargetPort;
}

/** Why a service can not publish these ports, as a sentence in Docker's words; undefined when it can. */
export function publishConflict(
  view: View,
  serviceId: string | undefined,
  spec: EndpointSpec | undefined,
): string | undefined {
  const holder = publishHolder(view.list('service'), serviceId, spec);
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

/** Whether the published port is given; 0 stands for "choose one". */
export function isFixed(port: PortConfig): boolean {
  return (port.PublishedPort ?? 0) > 0;
}
