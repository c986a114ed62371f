import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Logger } from '@swarm/api';
import type { Proof } from '@swarm/identity';
import type { Authority } from '../authority/index.js';
import { SetAside } from '../set-aside.js';
import type { StoreChange } from '../store/store.js';

/** One use of a node's connection. */
interface Use {
  readonly proof: Proof;
  readonly right: string;
  /** Absent when the connection is a WebSocket. */
  readonly exchange?: Exchange;
}

/** A request and its response. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Time to answer a write that arrived whole before its node lost the right. */
const ANSWER_LIMIT_MS = 1000;

/**
 * The open connections of nodes. A node's rights are checked when it asks; a stream, a session or a Raft
 * connection lasts long after that. So when a node's role changes in the store, checks its connections again
 * and cuts at once those that it may not have any more.
 */
export class StandingConnections {
  readonly #authority: Authority;
  readonly #clock: Clock;
  readonly #aside: SetAside;
  /** For each connection its last use, and earlier ones that are not over: requests may be pipelined. */
  readonly #byNode = new Map<string, Map<Socket, readonly Use[]>>();

  constructor(authority: Authority, clock: Clock, logger: Logger) {
    this.#authority = authority;
    this.#clock = clock;
    this.#aside = new SetAside(logger);
  }

  /** Notes that the connection is used for this, which the caller has just checked. */
  note(socket: Socket, proof: Proof, right: string, exchange?: Exchange): void {
    const { nodeId } = proof.subject;
    if (socket.destroyed) return;
    let sockets = this.#byNode.get(nodeId);
    if (sockets === undefined) {
      sockets = new Map();
      this.#byNode.set(nodeId, sockets);
    }
    if (!sockets.has(socket)) socket.once('close', () => this.#forget(nodeId, socket));
    const uses = (sockets.get(socket) ?? []).filter(isGoingOn);
    uses.push({ proof, right, ...(exchange === undefined ? {} : { exchange }) });
    sockets.set(socket, uses);
    // The store may have changed since the caller's check.
    this.#judgeOne(socket, uses);
  }

  /** Checks the nodes that a change of the store touches. */
  changed(change: StoreChange): void {
    if (change.reset) {
      for (const nodeId of [...this.#byNode.keys()]) this.#judge(nodeId);
      return;
    }
    this.#aside.events(change.events, (event) => {
      if (event.kind !== 'node' || event.action === 'create') return;
      const { object: node } = event;
      const isSame =
        event.action === 'update' &&
        event.previous.Spec.Role === node.Spec.Role &&
        event.previous.RaftID === node.RaftID;
      if (!isSame) this.#judge(node.ID);
    });
  }

  #judge(nodeId: string): void {
    for (const [socket, uses] of this.#byNode.get(nodeId) ?? []) this.#judgeOne(socket, uses);
  }

  #judgeOne(socket: Socket, uses: readonly Use[]): void {
    const lost = uses.filter((use) => !this.#holds(use));
    const last = lost.at(-1);
    if (last === undefined) return;
    // The dispatcher sees the same change and first writes the reason to the agent.
    if (lost.every(({ right }) => right === AGENT_RIGHT))
      this.#clock.setImmediate(() => socket.destroySoon());
    else if (lost.every(({ exchange }) => isBeingDone(exchange)))
      this.#cutAfter(socket, last.exchange!.response);
    else socket.destroy();
  }

  /** A node whose stored object cannot be read has no rights. */
  #holds({ proof, right }: Use): boolean {
    const holds = () => this.#authority.holds(proof, right);
    return this.#aside.guard('node', { ID: proof.subject.nodeId }, holds, () => false);
  }

  /**
   * Lets the answer go out first: the write may be the one that took the right away, from a node that
   * demotes itself.
   */
  #cutAfter(socket: Socket, response: ServerResponse): void {
    const timer = this.#clock.setTimeout(() => socket.destroy(), ANSWER_LIMIT_MS);
    socket.once('close', () => this.#clock.clearTimeout(timer));
    response.once('finish', () => socket.destroySoon());
  }

  #forget(nodeId: string, socket: Socket): void {
    const sockets = this.#byNode.get(nodeId);
    sockets?.delete(socket);
    if (sockets?.size === 0) this.#byNode.delete(nodeId);
  }
}

/** Whether the use is not over. A WebSocket ends with its connection. */
function isGoingOn({ exchange }: Use): boolean {
  return exchange === undefined || !exchange.response.writableFinished;
}

/** Whether it is a write that has arrived whole and is not answered yet; never a stream of answers. */
function isBeingDone(exchange: Exchange | undefined): exchange is Exchange {
  if (exchange === undefined) return false;
  const { request, response } = exchange;
  const reads = request.method === 'GET' || request.method === 'HEAD';
  return !reads && request.complete && !response.writableFinished;
}

const AGENT_RIGHT = 'UPGRADE /dispatcher';
