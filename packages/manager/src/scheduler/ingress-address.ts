import { isTerminal, type NetworkAttachment, type Network, type Task } from '@swarm/api';
import type { NodeInfo } from './node-info.js';

/** Host parts of task addresses in a node's /24; .1 is the node's own. */
const HOST_FIRST = 2;
const HOST_LAST = 254;
const HOSTS = HOST_LAST - HOST_FIRST + 1;

/** Only what is published has an address on the ingress network. */
export function needsIngressAddress(task: Task): boolean {
  return task.Endpoint.Ports.length > 0;
}

/**
 * Gives tasks addresses in their node's block. Round robin, so that an address rests as long as possible
 * before it names another task: old connections and neighbours' caches may still know the last one.
 */
export class IngressAddresses {
  /** Host part given last, by node. Not kept across leaders: the newest task of the node tells it. */
  readonly #last = new Map<string, number>();

  /** Whether the node has an address to give. */
  isAvailable(info: NodeInfo): boolean {
    return this.#choose(info) !== undefined;
  }

  /** @throws when there is none: ask `isAvailable` first */
  attach(info: NodeInfo, network: Network): NetworkAttachment {
    const host = this.#choose(info);
    if (host === undefined) throw new Error(`node ${info.node.ID} has no ingress address to give`);
    this.#last.set(info.node.ID, host);
    const { ID, Spec } = network;
    return {
      Network: { ID, Spec: { Name: Spec.Name } },
      Addresses: [`${blockOf(info)}${host}/32`],
    };
  }

  forget(nodeId: string): void {
    this.#last.delete(nodeId);
  }

  #choose(info: NodeInfo): number | undefined {
    const block = blockOf(info);
    if (block === undefined) return undefined;
    const live = new Set<number>();
    const ended = new Map<number, string>();
    let newest: { readonly host: number; readonly time: string } | undefined;
    for (const task of info.tasks()) {
      const host = hostOf(task, block);
      if (host === undefined) continue;
      const time = task.CreatedAt;
      if (newest === undefined || time > newest.time) newest = { host, time };
      if (!isTerminal(task.Status.State)) live.add(host);
      else if (task.Status.Timestamp > (ended.get(host) ?? ''))
        ended.set(host, task.Status.Timestamp);
    }
    const last = this.#last.get(info.node.ID) ?? newest?.host ?? HOST_LAST;
    let oldest: { readonly host: number; readonly time: string } | undefined;
    for (let step = 1; step <= HOSTS; step++) {
      const host = HOST_FIRST + ((last - HOST_FIRST + step) % HOSTS);
      if (live.has(host)) continue;
      const time = ended.get(host);
      if (time === undefined) return host;
      if (oldest === undefined || time < oldest.time) oldest = { host, time };
    }
    // All addresses have been used by tasks still remembered: the one that ended first, then.
    return oldest?.host;
  }
}

const BLOCK = /^(\d+\.\d+\.\d+\.)0\/24$/;

/** `10.240.3.` of `10.240.3.0/24`; undefined of any other subnet, or when the node has no address. */
function blockOf(info: NodeInfo): string | undefined {
  const mesh = info.node.Mesh;
  return mesh?.Address === '' ? undefined : BLOCK.exec(mesh?.Subnet ?? '')?.[1];
}

/** Host part of the task's address in the block. */
function hostOf(task: Task, block: string): number | undefined {
  for (const { Addresses } of task.NetworksAttachments ?? []) {
    for (const address of Addresses) {
      if (address.startsWith(block)) return Number.parseInt(address.slice(block.length), 10);
    }
  }
  return undefined;
}
