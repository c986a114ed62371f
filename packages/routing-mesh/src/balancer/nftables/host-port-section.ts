import { meshPortKey, parseIpAddress, type PortKey, type PortProtocol } from '@swarm/api';
import {
  ingressIpv6,
  type Ipv4Address,
  type Ipv6Address,
  nodeAddress,
  taskAddresses,
} from '../../address.js';
import type { HostPort } from '../../mesh.js';
import type { TaskId } from '../../layout.js';
import { type ElementChanges, keyOf, type SetName } from '../../table/element-changes.js';
import { accessElements, portAccess } from './port-access.js';
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
  readonly #byKey = new Map<PortKey, HostPort>();
  /** Not written yet: those to delete, then those to add. */
  #deleted: HostPorts[] = [];
  #added: HostPorts[] = [];
  #own: Ipv4Address | undefined;

  get tasks(): ReadonlyMap<TaskId, HostPorts> {
    return this.#tasks;
  }

  get(key: PortKey): HostPort | undefined {
    return this.#byKey.get(key);
  }

  set(taskId: TaskId, ports: HostPorts): void {
    this.delete(taskId);
    if (ports.ports.length === 0) return;
    this.adopt(taskId, ports);
    this.#added.push(ports);
  }

  /** @returns whether the task had any */
  delete(taskId: TaskId): boolean {
    const before = this.#tasks.get(taskId);
    if (before === undefined) return false;
    this.#tasks.delete(taskId);
    for (const port of before.ports) this.#byKey.delete(meshPortKey(port));
    this.#deleted.push(before);
    return true;
  }

  /** Host ports of an earlier process's tasks, which the table already has. */
  adopt(taskId: TaskId, ports: HostPorts): void {
    if (ports.ports.length > 0) this.#tasks.set(taskId, ports);
    for (const port of ports.ports) this.#byKey.set(meshPortKey(port), port);
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
        'set restricted { type inet_proto . inet_service; }',
        'set allowed { type ipv4_addr . inet_proto . inet_service; }',
        'map host_ports { type inet_proto . inet_service : ipv4_addr . inet_service; }',
        ...(hasIpv6
          ? [
              'set itself_v6 { type ipv6_addr . ipv6_addr; }',
              'set restricted_v6 { type inet_proto . inet_service; }',
              'set allowed_v6 { type ipv6_addr . inet_proto . inet_service; }',
              'map host_ports_v6 { type inet_proto . inet_service : ipv6_addr . inet_service; }',
            ]
          : []),
      ],
      rules: {
        dispatch: [
          ...restrict('ip', ''),
          ...(hasIpv6 ? restrict('ip6', '_v6') : []),
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

  /** The node's own address on the mesh. */
  start(own: Ipv4Address): void {
    this.#own = own;
  }

  addAll(changes: ElementChanges, { self, family }: TablePlace): void {
    const own = nodeAddress(self.subnet);
    for (const address of taskAddresses(self.subnet)) {
      changes.add('itself', `${address} . ${address}`);
      if (family !== 'inet') continue;
      const v6 = ingressIpv6(address);
      changes.add('itself_v6', `${v6} . ${v6}`);
    }
    for (const ports of this.#tasks.values()) {
      for (const element of elements(ports, own, family === 'inet')) changes.add(...element);
    }
  }

  takeChanges(changes: ElementChanges): void {
    const hasV6 = changes.family === 'inet';
    const list = (ports: HostPorts) => elements(ports, this.#own!, hasV6);
    for (const [set, element] of this.#deleted.flatMap(list)) changes.delete(set, keyOf(element));
    for (const element of this.#added.flatMap(list)) changes.add(...element);
    this.#deleted = [];
    this.#added = [];
  }
}

/** Leaves ports alone that are published on other addresses of the node, in either mode. */
function restrict(ip: 'ip' | 'ip6', suffix: string): readonly string[] {
  const port = 'meta l4proto . th dport';
  const nfproto = ip === 'ip' ? 'ipv4' : 'ipv6';
  return [
    `meta nfproto ${nfproto} fib daddr type local ${port} @restricted${suffix} ${ip} daddr . ${port} != @allowed${suffix} return`,
  ];
}

type Element = readonly [set: SetName, element: string];

function elements(
  { address, addressV6, ports }: HostPorts,
  own: Ipv4Address,
  hasV6: boolean,
): Element[] {
  return ports.flatMap(({ protocol, publishedPort, targetPort, hostIp }) => {
    const key = `${protocol} . ${publishedPort}`;
    const access = accessElements(portAccess(parseIpAddress(hostIp), own), key, hasV6);
    const v4: Element = ['host_ports', `${key} : ${address} . ${targetPort}`];
    if (!hasV6 || addressV6 === undefined) return [v4, ...access];
    return [v4, ['host_ports_v6', `${key} : ${addressV6} . ${targetPort}`], ...access];
  });
}
