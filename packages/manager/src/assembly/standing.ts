import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Logger } from '@swarm/api';
import type { Proof } from '@swarm/identity';
import type { Authority } from '../authority/index.js';
import { SetAside } from '../set-aside.js';
import type { StoreChange } from '../store/store.js';

/** What a node's connection is used for. */
interface Use {
  readonly proof: Proof;
  readonly right: string;
  /** Absent once the connection was taken over by a WebSocket. */
  readonly exchange?: Exchange;
}

/** A request and what it is answered with. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** A write that came whole before its node lost the right is answered within this. */
const ANSWER_LIMIT_MS = 1000;

/**
 * The connections of nodes that stand. What a node may do is judged when it asks; a stream, a session or
 * a Raft connection goes on for long after that. So when the store says something else of a node, its
 * connections are judged again, and those that it may not have any more are cut at once.
 */
export class StandingConnections {
  readonly #authority: Authority;
  readonly #clock: Clock;
  readonly #aside: SetAside;
  /** Of each connection the last use, and those before it that are not over: requests may be pipelined. */
  readonly #byNode = new Map<string, Map<Socket, readonly Use[]>>();

  constructor(authority: Authority, clock: Clock, logger: Logger) {
    this.#authority = authority;
    this.#clock = clock;
    this.#aside = new SetAside(logger);
  }

  /** The connection is used for this from now on, as was just judged. */
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
    // The store may have changed since the use was judged.
    this.#judgeOne(socket, uses);
  }

  /** Judges again the nodes that a change of the store touches. */
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
    // An agent is told why first: the dispatcher, which hears of the same change, writes that now.
    if (lost.every(({ right }) => right === AGENT_RIGHT))
      this.#clock.setImmediate(() => socket.destroySoon());
    else if (lost.every(({ exchange }) => isBeingDone(exchange)))
      this.#cutAfter(socket, last.exchange!.response);
    else socket.destroy();
  }

  /** Of whom the store says what cannot be read, nothing is known: it may nothing. */
  #holds({ proof, right }: Use): boolean {
    const holds = () => this.#authority.holds(proof, right);
    return this.#aside.guard('node', { ID: proof.subject.nodeId }, holds, () => false);
  }

  /** The write may be the very one that took the right away: a node that demotes itself hears of it. */
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

/** A WebSocket ends with its connection. */
function isGoingOn({ exchange }: Use): boolean {
  return exchange === undefined || !exchange.response.writableFinished;
}

/** Whether it is a write that has come whole and is not answered yet. A stream of answers never is. */
function isBeingDone(exchange: Exchange | undefined): exchange is Exchange {
  if (exchange === undefined) return false;
  const { request, response } = exchange;
  const reads = request.method === 'GET' || request.method === 'HEAD';
  return !reads && request.complete && !response.writableFinished;
}

const AGENT_RIGHT = 'UPGRADE /dispatcher';
