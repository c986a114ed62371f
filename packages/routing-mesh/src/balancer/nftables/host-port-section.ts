import type { PortProtocol } from '@swarm/api';
import { nodeAddress, type Ipv4Address, taskAddresses } from '../../address.js';
import type { HostPort } from '../../mesh.js';
import type { TaskId } from '../../layout.js';
import { type ElementChanges, keyOf } from '../../table/element-changes.js';
import type { SectionRules, TablePlace, TableSection } from '../../table/table-section.js';

const PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp', 'sctp'];

/** Where a task's host ports go. */
export interface HostPorts {
  readonly address: Ipv4Address;
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
  #deleted: string[] = [];
  #added: string[] = [];

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
    this.#deleted.push(...elements(before).map(keyOf));
    return true;
  }

  /** Host ports of an earlier process's tasks, which the table already has. */
  adopt(taskId: TaskId, ports: HostPorts): void {
    if (ports.ports.length > 0) this.#tasks.set(taskId, ports);
  }

  rules({ self }: TablePlace): SectionRules {
    return {
      sets: [
        'set itself { type ipv4_addr . ipv4_addr; }',
        'map host_ports { type inet_proto . inet_service : ipv4_addr . inet_service; }',
      ],
      rules: {
        dispatch: PROTOCOLS.map(
          (protocol) =>
            `fib daddr type local meta l4proto ${protocol} dnat ip addr . port to meta l4proto . th dport map @host_ports`,
        ),
        translate_source: [`ip saddr . ip daddr @itself snat to ${nodeAddress(self.subnet)}`],
      },
    };
  }

  addAll(changes: ElementChanges, { self }: TablePlace): void {
    for (const address of taskAddresses(self.subnet)) {
      changes.add('itself', `${address} . ${address}`);
    }
    for (const ports of this.#tasks.values()) {
      for (const element of elements(ports)) changes.add('host_ports', element);
    }
  }

  takeChanges(changes: ElementChanges): void {
    for (const key of this.#deleted) changes.delete('host_ports', key);
    for (const element of this.#added) changes.add('host_ports', element);
    this.#deleted = [];
    this.#added = [];
  }
}

function elements({ address, ports }: HostPorts): string[] {
  return ports.map(
    (port) => `${port.protocol} . ${port.publishedPort} : ${address} . ${port.targetPort}`,
  );
}
