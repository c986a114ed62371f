import assert from 'node:assert/strict';
import { type PortProtocol, portKey } from '@swarm/api';
import {
  ingressIpv6,
  type Ipv4Address,
  type Ipv6Address,
  nodeAddress,
  parseIpv4,
} from '../../address.js';
import type { CheckedEndpoint, CheckedPeer, CheckedPort } from '../../checked.js';
import type { BalancerSlice } from '../load-balancer.js';
import { FIRST_ENDPOINT_ID, LAST_ENDPOINT_ID } from '../../layout.js';
import { sameOptions } from '../../port-options.js';
import { eligible } from '../traffic-policy.js';
import { maglevTable } from '../maglev.js';
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
  /** Owner of each slot of a random draw; its length is 0, 60 or 840. */
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

/** What a node's kernel holds, except the constant part: plain data, rebuilt for each state. */
export interface Model {
  /** By node id. */
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  /** By `tcp/8080`. */
  readonly ports: ReadonlyMap<string, ModelPort>;
  /** Next id to try: freed ids rest as long as possible, because connections still carry them. */
  readonly nextId: number;
}

export const EMPTY_MODEL: Model = {
  peers: new Map(),
  ports: new Map(),
  nextId: FIRST_ENDPOINT_ID,
};

/**
 * Builds the model for a state. Unchanged ports keep their object; endpoints keep their id and, as far as fair
 * shares allow, their slots.
 *
 * Skips endpoints of nodes that are not in `state.peers`, to which there is no route, and those at an IPv6
 * address, to which the kernel does not translate. Of more than 840 endpoints, each node uses a different 840,
 * starting at a place derived from its own index.
 */
export function nextModel(
  previous: Model,
  state: BalancerSlice,
  self: Pick<CheckedPeer, 'nodeId' | 'index' | 'subnet'>,
): Model {
  const { peers } = state;
  const { nodeId: selfId, index: selfIndex } = self;
  const own = nodeAddress(self.subnet);
  const samePeers = sameKeys(previous.peers, peers);
  const used = new Set<number>();
  for (const port of previous.ports.values()) for (const { id } of port.endpoints) used.add(id);
  let nextId = previous.nextId;
  const takeId = (): number => {
    assert(used.size <= LAST_ENDPOINT_ID - FIRST_ENDPOINT_ID, 'no endpoint id is free');
    while (used.has(nextId)) nextId = following(nextId);
    const id = nextId;
    used.add(id);
    nextId = following(nextId);
    return id;
  };

  const ports = new Map<string, ModelPort>();
  for (const port of state.ports) {
    const key = portKey(port.protocol, port.publishedPort);
    const before = previous.ports.get(key);
    if (before !== undefined && samePeers && sameSource(before.source, port)) {
      ports.set(key, before);
      continue;
    }
    const usable = port.endpoints.filter(isUsable(peers));
    const wanted = choose(eligible(usable, port.options.policy, selfId), selfIndex);
    const known = new Map(before?.endpoints.map((endpoint) => [identity(endpoint), endpoint]));
    const endpoints = wanted
      .map((endpoint): ModelEndpoint => {
        const old = known.get(identity(endpoint));
        const addressV6 = endpoint.ipv6 ? ingressIpv6(endpoint.address) : undefined;
        const { taskId, nodeId, address, port: target, weight } = endpoint;
        if (old !== undefined && old.addressV6 === addressV6 && old.weight === weight) return old;
        const id = old?.id ?? takeId();
        return { id, taskId, nodeId, address, addressV6, port: target, weight };
      })
      .sort((one, other) => one.id - other.id);
    const unchanged =
      before !== undefined &&
      sameOptions(before.source.options, port.options) &&
      before.endpoints.length === endpoints.length &&
      endpoints.every((endpoint, i) => endpoint === before.endpoints[i]);
    if (unchanged) {
      ports.set(key, before);
      continue;
    }
    const { hasAffinity } = port.options;
    const draw = drawAmong(endpoints, hasAffinity, before?.draw);
    const overV6 = endpoints.filter(({ addressV6 }) => addressV6 !== undefined);
    const isShared = weighty(endpoints).every(({ addressV6 }) => addressV6 !== undefined);
    const ownBefore = before?.drawV6 === before?.draw ? undefined : before?.drawV6;
    ports.set(key, {
      protocol: port.protocol,
      publishedPort: port.publishedPort,
      endpoints,
      draw,
      drawV6: isShared ? draw : drawAmong(overV6, hasAffinity, ownBefore),
      access: portAccess(port.options.hostIp, own),
      source: port,
    });
  }
  return { peers, ports, nextId };
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

function following(id: number): number {
  return id === LAST_ENDPOINT_ID ? FIRST_ENDPOINT_ID : id + 1;
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
