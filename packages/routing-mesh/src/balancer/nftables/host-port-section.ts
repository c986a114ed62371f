import type { PortProtocol } from '@swarm/api';
import {
  ingressIpv6,
  type Ipv4Address,
  type Ipv6Address,
  nodeAddress,
  taskAddresses,
} from '../../address.js';
import type { HostPort } from '../../mesh.js';
import type { TaskId } from '../../layout.js';
import { type ElementChanges, keyOf } from '../../table/element-changes.js';
import type { SectionRules, TablePlace, TableSection } from '../../table/table-section.js';

const PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp', 'sctp'];

/** Where a task's host ports go. */
export interface HostPorts {
  readonly address: Ipv4Address;
  /** Where its ports are served over IPv6 too; undefined while they are not. */
  readonly addressV6?: Ipv6Address | undefined;
  readonly ports: readonly HostPort[];
}

/**
 * The table's part for ports of this node that go to one of its own tasks. Also rewrites the client's address,
 * for any translated connection, to the node's when a task reaches itself: it would answer itself otherwise.
 *
 * Also usable next to a balancer other than nftables' own.
 */
export class HostPortSection implements TableSection {
  readonly #tasks = new Map<TaskId, HostPorts>();
  /** Elements not written yet: those to delete, then those to add. */
  #deleted: Element[] = [];
  #added: Element[] = [];

  get tasks(): ReadonlyMap<TaskId, HostPorts> {
    return this.#tasks;
  }

  set(taskId: TaskId, ports: HostPorts): void {
    this.delete(taskId);
    if (ports.ports.length === 0) return;
    this.#tasks.set(taskId, ports);
    this.#added.push(...elements(ports));
  }

  /** @returns whether the task had any */
  delete(taskId: TaskId): boolean {
    const before = this.#tasks.get(taskId);
    if (before === undefined) return false;
    this.#tasks.delete(taskId);
    this.#deleted.push(...elements(before).map(([set, element]): Element => [set, keyOf(element)]));
    return true;
  }

  /** Host ports of an earlier process's tasks, which the table already has. */
  adopt(taskId: TaskId, ports: HostPorts): void {
    if (ports.ports.length > 0) this.#tasks.set(taskId, ports);
  }

  rules({ self, family }: TablePlace): SectionRules {
    const own = nodeAddress(self.subnet);
    const hasIpv6 = family === 'inet';
    const lead = (ip: 'ip' | 'ip6', nfproto: string, map: string): string[] =>
      PROTOCOLS.map(
        (protocol) =>
          `meta nfproto ${nfproto} fib daddr type local meta l4proto ${protocol} dnat ${ip} addr . port to meta l4proto . th dport map @${map}`,
      );
    return {
      sets: [
        'set itself { type ipv4_addr . ipv4_addr; }',
        'map host_ports { type inet_proto . inet_service : ipv4_addr . inet_service; }',
        ...(hasIpv6
          ? [
              'set itself_v6 { type ipv6_addr . ipv6_addr; }',
              'map host_ports_v6 { type inet_proto . inet_service : ipv6_addr . inet_service; }',
            ]
          : []),
      ],
      rules: {
        dispatch: [
          ...lead('ip', 'ipv4', 'host_ports'),
          ...(hasIpv6 ? lead('ip6', 'ipv6', 'host_ports_v6') : []),
        ],
        translate_source: [
          `ip saddr . ip daddr @itself snat ip to ${own}`,
          ...(hasIpv6 ? [`ip6 saddr . ip6 daddr @itself_v6 snat ip6 to ${ingressIpv6(own)}`] : []),
        ],
      },
    };
  }

  addAll(changes: ElementChanges, { self, family }: TablePlace): void {
    for (const address of taskAddresses(self.subnet)) {
      changes.add('itself', `${address} . ${address}`);
      if (family !== 'inet') continue;
      const v6 = ingressIpv6(address);
      changes.add('itself_v6', `${v6} . ${v6}`);
    }
    for (const ports of this.#tasks.values()) {
      for (const [set, element] of elements(ports)) changes.add(set, element);
    }
  }

  takeChanges(changes: ElementChanges): void {
    for (const [set, key] of this.#deleted) changes.delete(set, key);
    for (const [set, element] of this.#added) changes.add(set, element);
    this.#deleted = [];
    this.#added = [];
  }
}

type Element = readonly [set: 'host_ports' | 'host_ports_v6', element: string];

function elements({ address, addressV6, ports }: HostPorts): Element[] {
  return ports.flatMap(({ protocol, publishedPort, targetPort }) => {
    const key = `${protocol} . ${publishedPort}`;
    const v4: Element = ['host_ports', `${key} : ${address} . ${targetPort}`];
    if (addressV6 === undefined) return [v4];
    return [v4, ['host_ports_v6', `${key} : ${addressV6} . ${targetPort}`] as const];
  });
}
