import {
  type Node,
  parseHostPort,
  type PortKey,
  portKey,
  predefinedNetwork,
  publishedKey,
  type Service,
  type Task,
} from '@swarm/api';
import { countsAsManager } from './manager-nodes.js';

/**
 * The published ports that a service has anything to do with: those that its spec names, and those that it was
 * given. Each once.
 */
export function portKeysOf({ Spec, Endpoint }: Pick<Service, 'Spec' | 'Endpoint'>): PortKey[] {
  const keys = new Set<PortKey>();
  for (const ports of [Spec.EndpointSpec?.Ports, Endpoint.Ports]) {
    for (const port of ports ?? []) {
      if ((port.PublishedPort ?? 0) !== 0) keys.add(publishedKey(port));
    }
  }
  return [...keys];
}

/** Stands for the ingress network, whichever that is, among the networks of services. No network has this id. */
export const INGRESS_KEY = '*ingress';

/**
 * The networks of the cluster that a service is attached to, or has a virtual address in. Each once. One that
 * publishes ports in ingress mode has INGRESS_KEY too.
 */
export function networkKeysOf({ Spec, Endpoint }: Pick<Service, 'Spec' | 'Endpoint'>): string[] {
  const keys: string[] = [];
  const add = (id: string): void => {
    if (!keys.includes(id) && predefinedNetwork(id) === undefined) keys.push(id);
  };
  for (const { Target } of Spec.TaskTemplate.Networks ?? []) add(Target);
  for (const { NetworkID } of Endpoint.VirtualIPs ?? []) add(NetworkID);
  const ports = [...(Spec.EndpointSpec?.Ports ?? []), ...(Endpoint.Ports ?? [])];
  if (ports.some(({ PublishMode }) => PublishMode === 'ingress')) keys.push(INGRESS_KEY);
  return keys;
}

const NO_KEYS: readonly string[] = [];

/** The networks that a task is attached to. */
export function attachedKeysOf({ NetworksAttachments }: Task): readonly string[] {
  if (NetworksAttachments === undefined || NetworksAttachments.length === 0) return NO_KEYS;
  return NetworksAttachments.map(({ Network }) => Network.ID);
}

/** Where a manager listens for other nodes, and where they reach it: mostly the same. */
export function managerPortsOf(node: Node): PortKey[] {
  if (!countsAsManager(node)) return [];
  const ports = new Set([
    parseHostPort(node.ManagerAddr)?.port,
    node.RaftID === undefined ? undefined : node.Description?.ListenPort,
  ]);
  ports.delete(undefined);
  return [...ports].map((port) => portKey('tcp', port!));
}

/** The published ports that a node says it does not serve. */
export function conflictKeysOf({ Description }: Node): PortKey[] {
  return [...new Set((Description?.PortConflicts ?? []).map(publishedKey))];
}

/** The name that users know a node by; several nodes may have one. */
export function nodeNameOf({ Spec, Description }: Node): string | undefined {
  return Spec.Name ?? Description?.Hostname;
}

export function slotKey(serviceId: string, slot: number): string {
  return `${serviceId}/${slot}`;
}

export function slotKeyOf(task: Task): string {
  return slotKey(task.ServiceID, task.Slot);
}

/** A node's place in the mesh. */
export function meshKey(index: number): string {
  return String(index);
}
