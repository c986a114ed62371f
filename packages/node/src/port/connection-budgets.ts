import type { NodeRole } from '@swarm/api';
import type { AddressGroups } from '@swarm/manager/assembly';
import { Crowd } from './crowd.js';

/**
 * How the port for nodes counts a connection:
 * - `unproved`: it has not shown a certificate of this cluster yet, or has none;
 * - `returning`: as unproved, but from an address that a node of the cluster has;
 * - `client`: proved, with ordinary requests;
 * - `agent`, `raft`: proved and taken over, for a session or for messages between managers.
 *
 * Each class has its own limit: a flood of one takes nothing from the others.
 */
export const CONNECTION_CLASSES = ['unproved', 'returning', 'client', 'agent', 'raft'] as const;
export type ConnectionClass = (typeof CONNECTION_CLASSES)[number];

/** Connections of each class at once. 10,000 agents fit, even when all of them come back at once. */
export const CONNECTIONS_LIMITS: Readonly<Record<ConnectionClass, number>> = {
  unproved: 4_096,
  returning: 12_288,
  client: 8_192,
  agent: 16_384,
  raft: 256,
};
/** Unproved or returning connections of one host. Many hosts may be behind one address. */
export const ADDRESS_SHARE = 256;
/** A manager forwards its clients' requests to the leader: LeaderLink has up to 1,064 connections. */
export const MANAGER_CLIENT_SHARE = 1_152;
/** A worker's daemon has one briefly, to renew its certificate or to open its session. */
export const WORKER_CLIENT_SHARE = 8;
/** An agent has one session; after a break the old one may still seem open. */
export const AGENT_SHARE = 4;
/** A member connects once for messages and once for a snapshot, and may reconnect at any time. */
export const RAFT_SHARE = 16;

/** Part of the process's file descriptors that connections may take; the rest is for logs and tasks. */
const DESCRIPTORS_PART = 0.8;
/** Too few file descriptors make no class smaller than this. */
const SMALLEST_LIMIT = 64;

/** File descriptors that a process needs for all the connections it may have. */
export const DESCRIPTORS_NEEDED = Math.ceil(
  Object.values(CONNECTIONS_LIMITS).reduce((sum, limit) => sum + limit, 0) / DESCRIPTORS_PART,
);

/** Who a connection was proved to be of. */
export interface ProvedNode {
  readonly nodeId: string;
  readonly role: NodeRole;
}

/** Scales the limits down where a process may not open enough files, so that no class starves the others. */
export function limitsFor(descriptors: number): Readonly<Record<ConnectionClass, number>> {
  const part = Math.min(1, descriptors / DESCRIPTORS_NEEDED);
  const limits = { ...CONNECTIONS_LIMITS };
  for (const name of CONNECTION_CLASSES)
    limits[name] = Math.max(Math.floor(limits[name] * part), SMALLEST_LIMIT);
  return limits;
}

interface Place {
  readonly name: ConnectionClass;
  readonly path: readonly string[];
  readonly node?: ProvedNode;
}

/**
 * Decides which connections have room on the port for nodes. It only counts: it returns the connection that
 * must go, no longer counted, and the caller cuts it.
 *
 * A newcomer among the unproved always gets in. Above the share of its host, the oldest of that host goes.
 * When the class is full, the oldest of the largest host of the largest network goes: with N networks an
 * attacker pushes out a joiner from another network only by holding more than limit / N connections in each
 * of them, and renewing each after a few seconds.
 */
export class ConnectionBudgets<C> {
  readonly limits: Readonly<Record<ConnectionClass, number>>;
  readonly #crowds: Readonly<Record<ConnectionClass, Crowd<C>>> = {
    unproved: new Crowd(),
    returning: new Crowd(),
    client: new Crowd(),
    agent: new Crowd(),
    raft: new Crowd(),
  };
  readonly #places = new Map<C, Place>();

  constructor(limits: Readonly<Record<ConnectionClass, number>> = CONNECTIONS_LIMITS) {
    this.limits = limits;
  }

  /** Counts an accepted connection. @returns the one to cut to make room */
  arrive(connection: C, groups: AddressGroups, isNodeAddress: boolean): C | undefined {
    const name = isNodeAddress ? 'returning' : 'unproved';
    return this.#enter(connection, { name, path: groups }, ADDRESS_SHARE);
  }

  /** Counts a connection as a client's from now on. @returns the one to cut: itself when there is no room */
  prove(connection: C, node: ProvedNode): C | undefined {
    if (!this.leave(connection)) return connection;
    const share = node.role === 'manager' ? MANAGER_CLIENT_SHARE : WORKER_CLIENT_SHARE;
    return this.#enter(connection, { name: 'client', path: [node.nodeId], node }, share);
  }

  /** Counts a client's connection as taken over from now on. @returns as `prove` */
  takeOver(connection: C, name: 'agent' | 'raft'): C | undefined {
    const node = this.#places.get(connection)?.node;
    if (node === undefined) return connection;
    this.leave(connection);
    const share = name === 'agent' ? AGENT_SHARE : RAFT_SHARE;
    return this.#enter(connection, { name, path: [node.nodeId], node }, share);
  }

  /** Stops counting a connection. @returns whether it was counted */
  leave(connection: C): boolean {
    const place = this.#places.get(connection);
    if (place === undefined) return false;
    this.#places.delete(connection);
    return this.#crowds[place.name].remove(connection, place.path);
  }

  classOf(connection: C): ConnectionClass | undefined {
    return this.#places.get(connection)?.name;
  }

  /** Who a connection was proved to be of. */
  nodeOf(connection: C): ProvedNode | undefined {
    return this.#places.get(connection)?.node;
  }

  count(name: ConnectionClass): number {
    return this.#crowds[name].size;
  }

  #enter(connection: C, place: Place, share: number): C | undefined {
    const crowd = this.#crowds[place.name];
    crowd.add(connection, place.path);
    this.#places.set(connection, place);
    const own = crowd.at(place.path)!;
    let goes: C | undefined;
    if (own.size > share) goes = own.oldestOfLargest();
    else if (crowd.size > this.limits[place.name]) {
      // Where every node has only one connection, cuts none of them: each may be in use.
      goes = place.node !== undefined && crowd.largest === 1 ? connection : crowd.oldestOfLargest();
    }
    if (goes !== undefined) this.leave(goes);
    return goes;
  }
}
