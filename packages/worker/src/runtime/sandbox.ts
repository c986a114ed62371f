import {
  hostLine,
  isTunnelled,
  type MeshBackendName,
  type PortConfig,
  type PredefinedNetwork,
  predefinedNetworkOf,
  type Task,
} from '@swarm/api';
import type { NodeFacts } from './runtime.js';
import { refused } from './spec-refusal.js';
import { taskHostname } from './task-environment.js';
import { isOnOverlay, taskAddresses } from './task-ports.js';

/** Name servers and search list, in the Engine API's words. */
export interface SandboxDns {
  readonly Dns: readonly string[];
  readonly DnsSearch: readonly string[];
  readonly DnsOptions: readonly string[];
}

/** What a sandbox is made from. */
export interface SandboxSpec {
  /** Today, the id of the one task in it. */
  readonly id: string;
  /**
   * Addresses on the cluster's networks. If there are any, the sandbox has its own network namespace where the
   * runtime can make one; the caller attaches it before it prepares the first task.
   */
  readonly addresses: readonly string[];
  /**
   * The node's mesh makes no links (`--mesh userspace`): it reaches nothing but the host's own network,
   * whatever the runtime can make.
   */
  readonly hasNoLinks?: boolean;
  /** A network of the host that it is put into; it then has no addresses. */
  readonly network?: PredefinedNetwork;
  /** Ports that its tasks listen on. */
  readonly ports: readonly PortConfig[];
  /** Whether more than one task will join it, so that its network must not belong to a single task. */
  readonly shared: boolean;
  readonly hostname?: string;
  /** Additional lines of `/etc/hosts`, as address and names. */
  readonly hosts: readonly (readonly string[])[];
  readonly dns?: SandboxDns;
  /** The mesh answers its questions at 127.0.0.11, also those for others' names. */
  readonly hasNames?: boolean;
  /** Of the network namespace: `net.…`. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Where managers say that the node is reachable; absent until one has said so. */
  readonly nodeAddress?: string;
}

/** Namespaces and a network that tasks join. */
export interface Sandbox {
  readonly id: string;
  /**
   * File of its network namespace; absent if it shares one of the host's or the engine's. Its loopback may be
   * down until it is attached.
   */
  readonly netns?: string;
  /**
   * Where to reach its tasks, if not at the address they were given: the process runtime without root shares
   * the host's network and hands out its ports.
   */
  readonly address?: string;
  /** With `address`: the ports that its tasks actually have to listen on, as `TargetPort`. */
  readonly ports?: readonly PortConfig[];
}

/** Kernel settings that are namespaced and belong to a sandbox. */
const NET_SYSCTL = /^net[./]/;

/**
 * The sandbox of a task that has one to itself.
 * @param backend of the node's mesh
 * @throws RuntimeError `rejected` for a part of the spec that cannot be read; names the field
 */
export function sandboxSpec(task: Task, node: NodeFacts, backend: MeshBackendName): SandboxSpec {
  const container = task.Spec.ContainerSpec;
  const hostname = taskHostname(task, node);
  const dns = sandboxDns(task);
  const network = predefinedNetworkOf(task.Spec);
  return {
    id: task.ID,
    addresses: taskAddresses(task),
    ...(isTunnelled({ MeshBackend: backend }) ? {} : { hasNoLinks: true }),
    ...(network === undefined ? {} : { network }),
    ports: task.Endpoint.Ports,
    shared: false,
    ...(hostname === undefined ? {} : { hostname }),
    hosts: hostLines(task),
    ...(dns === undefined ? {} : { dns }),
    ...(isOnOverlay(task) ? { hasNames: true } : {}),
    sysctls: Object.fromEntries(
      Object.entries(container?.Sysctls ?? {}).filter(([name]) => isSandboxSysctl(name)),
    ),
    ...(node.address === undefined ? {} : { nodeAddress: node.address }),
  };
}

/** Whether a kernel setting belongs to the sandbox and not to the task. */
export function isSandboxSysctl(name: string): boolean {
  return NET_SYSCTL.test(name);
}

/** `ContainerSpec.Hosts` has lines of hosts(5): an address and the names for it. */
export function hostLines(task: Task): readonly (readonly string[])[] {
  return (task.Spec.ContainerSpec?.Hosts ?? []).map((line) => refused(() => hostLine(line)));
}

/** The task's own DNS settings; undefined if it has none. */
export function sandboxDns(task: Task): SandboxDns | undefined {
  const config = task.Spec.ContainerSpec?.DNSConfig;
  const dns = {
    Dns: config?.Nameservers ?? [],
    DnsSearch: config?.Search ?? [],
    DnsOptions: config?.Options ?? [],
  };
  return Object.values(dns).some((list) => list.length > 0) ? dns : undefined;
}
