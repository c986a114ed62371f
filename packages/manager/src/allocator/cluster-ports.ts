import {
  type EndpointSpec,
  MESH_PROBE_PORT,
  type Node,
  type PortConfig,
  portKey,
  type PortKey,
  publishedKey,
  type Service,
  WIREGUARD_PORT_OFFSET,
} from '@swarm/api';
import { managerPortsOf, nodeNameOf, portKeysOf } from '../store/object-keys.js';
import type { StoreEvent, View } from '../store/store.js';
import { isFixed } from './publish-conflict.js';

/** Where a node listens once it becomes a manager, unless `--listen-addr` says otherwise. */
const MANAGER_PORT = 2377;
/** Of a cluster that is not stored yet. */
const DATA_PATH_PORT = 4789;

/**
 * Why the cluster itself needs a port of its hosts, as the end of a sentence; undefined when services may
 * publish it. A mesh that led such a port to tasks would cut managers off from each other.
 */
export function clusterPortUse(view: View, key: PortKey): string | undefined {
  for (const manager of view.managersByPort(key)) {
    return `manager ${nodeNameOf(manager) ?? manager.ID} listens on it for other nodes`;
  }
  if (key === portKey('tcp', MANAGER_PORT)) return 'nodes that become managers listen on it';
  const dataPathPort = view.cluster()?.DataPathPort ?? DATA_PATH_PORT;
  if (key === portKey('udp', dataPathPort)) {
    return 'it is the data path port, which carries traffic between nodes';
  }
  if (key === portKey('udp', MESH_PROBE_PORT)) {
    return 'nodes look there whether they reach each other';
  }
  if (key === portKey('udp', dataPathPort + WIREGUARD_PORT_OFFSET)) {
    return 'it carries encrypted traffic between nodes';
  }
  return undefined;
}

/** Why a service cannot publish a port that the cluster needs; undefined when it can. */
export function clusterPortConflict(view: View, port: PortConfig): string | undefined {
  const key = takenKey(port);
  const use = key && clusterPortUse(view, key);
  if (use === undefined) return undefined;
  return `port '${port.PublishedPort}' (${port.Protocol}) belongs to the cluster: ${use}; publish another port`;
}

/**
 * The same for what a client asks for. A service that has such a port from an earlier version may still be
 * changed in other ways: it does not get the port by that.
 */
export function clusterPortRefusal(
  view: View,
  spec: EndpointSpec | undefined,
  present: EndpointSpec | undefined,
): string | undefined {
  const had = new Set(present?.Ports?.map(takenKey));
  for (const port of spec?.Ports ?? []) {
    if (had.has(takenKey(port))) continue;
    const conflict = clusterPortConflict(view, port);
    if (conflict !== undefined) return conflict;
  }
  return undefined;
}

/** Whether the service publishes, or was given, a port that the cluster needs. */
export function holdsClusterPort(view: View, service: Service): boolean {
  return portKeysOf(service).some((key) => clusterPortUse(view, key) !== undefined);
}

/** The service that would lose one of these ports to a new manager; undefined when none would. */
export function serviceInTheWay(
  view: View,
  ports: readonly number[],
): { readonly service: Service; readonly port: number } | undefined {
  for (const port of ports) {
    const key = portKey('tcp', port);
    // The services have lost it already.
    if (clusterPortUse(view, key) !== undefined) continue;
    for (const service of view.servicesByPort(key)) return { service, port };
  }
  return undefined;
}

/** The ports that managers began or ceased to listen on. */
export function movedManagerPorts(event: StoreEvent & { readonly kind: 'node' }): PortKey[] {
  const before = portsOf(event.action === 'create' ? undefined : previousOf(event));
  const after = portsOf(event.action === 'remove' ? undefined : event.object);
  return [
    ...before.filter((key) => !after.includes(key)),
    ...after.filter((key) => !before.includes(key)),
  ];
}

function previousOf(event: StoreEvent & { readonly kind: 'node' }): Node {
  return event.action === 'update' ? event.previous : event.object;
}

function portsOf(node: Node | undefined): PortKey[] {
  return node === undefined ? [] : managerPortsOf(node);
}

/** The port of every host that the mapping takes; undefined where it is chosen. */
function takenKey(port: PortConfig): PortKey | undefined {
  return isFixed(port) ? publishedKey(port) : undefined;
}
