import type { EndpointSpec, PortConfig } from '@swarm/api';
import type { View } from '../store/store.js';

/**
 * Why a service can not publish these ports, as a sentence in Docker's words; undefined when it can.
 * A port published in ingress mode is taken on every node, for both modes; one published in host mode
 * excludes only ingress mode elsewhere (two services may share it, on different nodes).
 * @param serviceId the service itself, on an update: its own ports are no conflict
 */
export function publishConflict(
  view: View,
  serviceId: string | undefined,
  spec: EndpointSpec | undefined,
): string | undefined {
  const wanted = (spec?.Ports ?? []).filter(isFixed);
  if (wanted.length === 0) return undefined;
  const ingress = new Set(wanted.filter(isIngress).map(portKey));
  const host = new Set(wanted.filter((port) => !isIngress(port)).map(portKey));
  for (const service of view.list('service')) {
    if (service.ID === serviceId) continue;
    const ports = [...(service.Spec.EndpointSpec?.Ports ?? []), ...(service.Endpoint.Ports ?? [])];
    for (const port of ports.filter(isFixed)) {
      const key = portKey(port);
      if (!ingress.has(key) && !(isIngress(port) && host.has(key))) continue;
      const mode = isIngress(port) ? 'an ingress port' : 'a host-published port';
      return `port '${port.PublishedPort}' is already in use by service '${service.Spec.Name}' (${service.ID}) as ${mode}`;
    }
  }
  return undefined;
}

export function isIngress(port: PortConfig): boolean {
  return port.PublishMode === 'ingress';
}

/** Whether the published port is given; 0 stands for "choose one". */
export function isFixed(port: PortConfig): boolean {
  return (port.PublishedPort ?? 0) > 0;
}

/** tcp, udp and sctp have ports of their own. */
export function portKey(port: PortConfig): string {
  return `${port.PublishedPort}/${port.Protocol}`;
}
