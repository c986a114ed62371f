import type { PortKey, PortProtocol } from '@swarm/api';
import {
  ingressIpv6,
  type Ipv4Address,
  type Ipv6Address,
  nodeAddress,
  parseIpv4,
} from '../../address.js';
import type { CheckedEndpoint, CheckedPeer, CheckedPort } from '../../checked.js';
import type { BalancerSlice } from '../load-balancer.js';
import { sameOptions } from '../../port-options.js';
import { eligible } from '../traffic-policy.js';
import { maglevTable } from '../maglev.js';
import { EndpointIds } from './endpoint-ids.js';
import { type PortAccess, portAccess } from './port-access.js';
import { weighty } from '../weights.js';
import { MAX_ENDPOINTS_PER_PORT, shareSlots } from './slots.js';

/** An endpoint with the id that this node gave it. */
export interface ModelEndpoint {
  readonly id: number;
  readonly taskId: string;
  readonly nodeId: string;
  readonly address: Ipv4Address;
  /** Undefined when it is not reached over IPv6. */
  readonly addressV6: Ipv6Address | undefined;
  readonly port: number;
  readonly weight: number;
}

/** How new connections of one family find their endpoints. */
export interface Draw {
  /** Owner of each slot of a random draw; its length is 0 or one of `SLOT_COUNTS`. */
  readonly slots: readonly number[];
  /** Owner of each place of a client's draw by its address; empty without affinity. */
  readonly places: readonly number[];
}

export const NO_DRAW: Draw = { slots: [], places: [] };

/** A published port, with its slots assigned. */
export interface ModelPort {
  readonly protocol: PortProtocol;
  readonly publishedPort: number;
  /** In order of id. */
  readonly endpoints: readonly ModelEndpoint[];
  /** What clients of IPv4 are led by. */
  readonly draw: Draw;
  /** The same for IPv6: the same object when all endpoints are reached over both; empty when none is. */
  readonly drawV6: Draw;
  readonly access: PortAccess;
  /** What it was made from, to see quickly that a later state is the same. */
  readonly source: CheckedPort;
}

/** The node whose model it is. */
export type ModelPlace = Pick<CheckedPeer, 'nodeId' | 'index' | 'subnet'>;

/** What became of one port. */
export interface PortChange {
  readonly key: PortKey;
  readonly before: ModelPort | undefined;
  readonly after: ModelPort | undefined;
}

/**
 * What a node leads clients of published ports by. Unchanged ports keep their object; endpoints keep their id and, as
 * far as fair shares allow, their slots.
 *
 * Skips endpoints of nodes that are not in the slice's peers, to which there is no route, and those at an IPv6
 * address, to which the kernel does not translate. Of more than 840 endpoints, each node uses a different 840,
 * starting at a place derived from its own index.
 */
export class Model {
  readonly #ports = new Map<PortKey, ModelPort>();
  readonly #ids: EndpointIds;
  #peers: ReadonlyMap<string, CheckedPeer> = new Map();

  constructor(ids = new EndpointIds()) {
    this.#ids = ids;
  }

  get ports(): ReadonlyMap<PortKey, ModelPort> {
    return this.#ports;
  }

  /** Costs as much as the ports that the slice names as touched. */
  follow({ peers, ports, touched }: BalancerSlice, self: ModelPlace): readonly PortChange[] {
    const samePeers = touched !== undefined || sameKeys(this.#peers, peers);
    this.#peers = peers;
    const changes: PortChange[] = [];
    for (const key of touched ?? new Set([...this.#ports.keys(), ...ports.keys()])) {
      const before = this.#ports.get(key);
      const port = ports.get(key);
      const after = port && this.#next(before, port, self, samePeers);
      if (after === before) continue;
      if (after === undefined) this.#ports.delete(key);
      else this.#ports.set(key, after);
      changes.push({ key, before, after });
    }
    for (const change of changes) this.#release(change);
    return changes;
  }

  /** Only now: an id that one port gave up must not mean another endpoint in the same transaction. */
  #release({ before, after }: PortChange): void {
    const kept = new Set(after?.endpoints.map(({ id }) => id));
    for (const { id } of before?.endpoints ?? []) if (!kept.has(id)) this.#ids.release(id);
  }

  #next(
    before: ModelPort | undefined,
    port: CheckedPort,
    { nodeId, index, subnet }: ModelPlace,
    samePeers: boolean,
  ): ModelPort {
    if (before !== undefined && samePeers && sameSource(before.source, port)) return before;
    const usable = port.endpoints.filter(isUsable(this.#peers));
    const wanted = choose(eligible(usable, port.options.policy, nodeId), index);
    const known = new Map(before?.endpoints.map((endpoint) => [identity(endpoint), endpoint]));
    const endpoints = wanted
      .map((endpoint): ModelEndpoint => {
        const old = known.get(identity(endpoint));
        const addressV6 = endpoint.ipv6 ? ingressIpv6(endpoint.address) : undefined;
        const { taskId, nodeId: on, address, port: target, weight } = endpoint;
        if (old !== undefined && old.addressV6 === addressV6 && old.weight === weight) return old;
        const id = old?.id ?? this.#ids.take();
        return { id, taskId, nodeId: on, address, addressV6, port: target, weight };
      })
      .sort((one, other) => one.id - other.id);
    const unchanged =
      before !== undefined &&
      sameOptions(before.source.options, port.options) &&
      before.endpoints.length === endpoints.length &&
      endpoints.every((endpoint, i) => endpoint === before.endpoints[i]);
    if (unchanged) return before;
    const { hasAffinity, hostIp, proxyProtocol } = port.options;
    const draw = drawAmong(endpoints, hasAffinity, before?.draw);
    const overV6 = endpoints.filter(({ addressV6 }) => addressV6 !== undefined);
    const isShared = weighty(endpoints).every(({ addressV6 }) => addressV6 !== undefined);
    const ownBefore = before?.drawV6 === before?.draw ? undefined : before?.drawV6;
    return {
      protocol: port.protocol,
      publishedPort: port.publishedPort,
      endpoints,
      draw,
      drawV6: isShared ? draw : drawAmong(overV6, hasAffinity, ownBefore),
      access: portAccess(hostIp, nodeAddress(subnet), proxyProtocol !== undefined),
      source: port,
    };
  }
}

function drawAmong(
  endpoints: readonly ModelEndpoint[],
  hasAffinity: boolean,
  before: Draw | undefined,
): Draw {
  if (endpoints.length === 0) return NO_DRAW;
  const named = ({ id, weight, taskId }: ModelEndpoint) => ({ name: taskId, id, weight });
  return {
    slots: shareSlots(before?.slots ?? [], endpoints),
    places: hasAffinity ? maglevTable(weighty(endpoints).map(named)) : [],
  };
}

/** An endpoint that the kernel can translate to. */
type UsableEndpoint = CheckedEndpoint & { readonly address: Ipv4Address };

function isUsable(peers: ReadonlyMap<string, CheckedPeer>) {
  return (endpoint: CheckedEndpoint): endpoint is UsableEndpoint =>
    peers.has(endpoint.nodeId) && parseIpv4(endpoint.address) !== undefined;
}

function identity(
  endpoint: Pick<CheckedEndpoint, 'taskId' | 'nodeId' | 'address' | 'port'>,
): string {
  return `${endpoint.taskId} ${endpoint.nodeId} ${endpoint.address} ${endpoint.port}`;
}

function choose(
  endpoints: readonly UsableEndpoint[],
  selfIndex: number,
): readonly UsableEndpoint[] {
  const seen = new Set<string>();
  const distinct = endpoints.filter((endpoint) => {
    const key = identity(endpoint);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  if (distinct.length <= MAX_ENDPOINTS_PER_PORT) return distinct;
  const start = (selfIndex * MAX_ENDPOINTS_PER_PORT) % distinct.length;
  return [...distinct.slice(start), ...distinct.slice(0, start)].slice(0, MAX_ENDPOINTS_PER_PORT);
}

function sameSource(a: CheckedPort, b: CheckedPort): boolean {
  if (a === b) return true;
  if (!sameOptions(a.options, b.options)) return false;
  if (a.endpoints === b.endpoints) return true;
  if (a.endpoints.length !== b.endpoints.length) return false;
  return a.endpoints.every((one, i) => {
    const other = b.endpoints[i]!;
    return (
      one.taskId === other.taskId &&
      one.nodeId === other.nodeId &&
      one.address === other.address &&
      one.port === other.port &&
      one.ipv6 === other.ipv6 &&
      one.weight === other.weight
    );
  });
}

function sameKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  if (a.size !== b.size) return false;
  for (const key of b.keys()) if (!a.has(key)) return false;
  return true;
}
