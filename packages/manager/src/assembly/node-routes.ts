import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, type Clock, type Logger } from '@swarm/api';
import type { RaftNode } from '@swarm/raft';
import type { CaServer } from '../ca/ca-server.js';
import type { Subject } from '../ca/subject.js';
import type { Store } from '../store/store.js';
import { admitMember, JOIN_PATH, PROBE_PATH, readJoinBody } from './join-raft.js';
import type { LeaderLink, ProbeReply } from './leader-link.js';
import type { LocalManager } from './local-manager.js';

/** On a forwarded request: who asked the forwarding manager, as JSON. Only managers may say so. */
const PEER_HEADER = 'x-swarm-peer';
const LEADER_POLL_MS = 50;
/** A request waits so long for a leader; an election takes 1–2 s. */
const LEADER_WAIT_MS = 5000;

/** Who sent a request; the subject is of a certificate that was checked. */
export interface Peer {
  readonly subject?: Subject;
  readonly remoteAddress: string;
}

/** A request among nodes, its body read. */
export interface NodeRequest {
  readonly peer: Peer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly raw: Buffer;
  /** @throws ApiError BAD_REQUEST when it is not JSON */
  json(): unknown;
}

export interface NodeRoute {
  /** Who may ask: `anybody` has no certificate yet. */
  readonly who: 'anybody' | 'manager';
  /** The answer, as JSON, or ANSWERED. */
  handle(asked: NodeRequest): Promise<unknown>;
}

/** Tells that the route has answered by itself. */
export const ANSWERED = Symbol('answered');

export interface NodeRoutesContext {
  readonly self: LocalManager;
  readonly raft: RaftNode;
  readonly store: Store;
  readonly ca: CaServer;
  readonly link: LeaderLink;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly isLeader: () => boolean;
}

/** The small JSON requests among nodes: certificates, and who is in the Raft group. */
export class NodeRoutes {
  readonly #context: NodeRoutesContext;
  readonly #routes: Readonly<Record<string, NodeRoute>>;

  constructor(context: NodeRoutesContext) {
    this.#context = context;
    const { ca, raft } = context;
    this.#routes = {
      'GET /ca/root': { who: 'anybody', handle: async () => ca.root() },
      'POST /ca/certificates': {
        who: 'anybody',
        handle: (asked) => this.#onLeader(asked, (peer) => ca.issue(asked.json(), peer)),
      },
      [`GET ${PROBE_PATH}`]: { who: 'manager', handle: async () => this.#probed() },
      [`GET ${JOIN_PATH}`]: {
        who: 'manager',
        handle: async () => raft.status().members.map(({ info }) => info),
      },
      [`POST ${JOIN_PATH}`]: {
        who: 'manager',
        handle: (asked) => this.#onLeader(asked, (peer) => this.#admit(asked, nodeIdOf(peer))),
      },
      [`DELETE ${JOIN_PATH}`]: {
        who: 'manager',
        handle: (asked) => this.#onLeader(asked, (peer) => this.#letGo(nodeIdOf(peer))),
      },
    };
  }

  /** Undefined when the path is none of these. */
  find(method: string, path: string): NodeRoute | undefined {
    const key = `${method} ${path}`;
    return Object.hasOwn(this.#routes, key) ? this.#routes[key] : undefined;
  }

  #probed(): ProbeReply {
    const { self, raft, isLeader } = this.#context;
    const { nodeId } = self;
    if (!isLeader()) return { nodeId, leads: false };
    const { id, members } = raft.status();
    const heard = members.filter(({ info, reachable }) => reachable || info.id === id);
    return { nodeId, leads: true, reachable: heard.map(({ info }) => info.id) };
  }

  async #admit(asked: NodeRequest, nodeId: string): Promise<unknown> {
    const { raft, store, self, logger } = this.#context;
    const { raftId, address } = readJoinBody(asked.json());
    await admitMember(raft, store, self, { id: raftId, address, nodeId }, logger);
    return {};
  }

  /** Takes a member that wants to leave out of the group, and makes its node a worker's. */
  async #letGo(nodeId: string): Promise<unknown> {
    const { raft, store } = this.#context;
    // More than one while it comes back under a new id.
    for (const { info } of raft.status().members) {
      if (info.nodeId === nodeId) await raft.removeMember(info.id);
    }
    await store.transact((transaction) => {
      const node = transaction.get('node', nodeId);
      if (node === undefined) return;
      const { RaftID: _id, ManagerAddr: _address, ...rest } = node;
      transaction.update('node', {
        ...rest,
        Role: 'worker',
        Spec: { ...node.Spec, Role: 'worker' },
      });
    });
    return {};
  }

  /**
   * Has the leader answer, with the peer as this manager has seen it. Waits for an election: a leader
   * that does not answer any more is not asked.
   */
  async #onLeader(asked: NodeRequest, here: (peer: Peer) => Promise<unknown>): Promise<unknown> {
    const { clock, link, isLeader } = this.#context;
    const { request, response, raw, peer } = asked;
    // Only a manager may speak for others; whatever else sends this header is not heard.
    const header = peer.subject?.role === 'manager' ? request.headers[PEER_HEADER] : undefined;
    const forwarded = header === undefined ? undefined : readPeer(header);
    const until = clock.monotonicMs() + LEADER_WAIT_MS;
    while (!response.destroyed) {
      if (isLeader()) return here(forwarded ?? peer);
      if (forwarded === undefined && (await link.answers())) {
        await link.forward(request, response, { [PEER_HEADER]: JSON.stringify(peer) }, raw);
        return ANSWERED;
      }
      if (clock.monotonicMs() >= until) {
        throw new ApiError(
          'NO_QUORUM',
          'the managers have no leader at the moment: try again; more than half of them must be online',
        );
      }
      await new Promise<void>((resolve) => clock.setTimeout(resolve, LEADER_POLL_MS));
    }
    return ANSWERED;
  }
}

function nodeIdOf({ subject }: Peer): string {
  if (subject?.role === 'manager') return subject.nodeId;
  throw new ApiError('PERMISSION_DENIED', "this needs a manager's certificate");
}

/** @throws ApiError BAD_REQUEST */
function readPeer(header: string | readonly string[]): Peer {
  let said: unknown;
  try {
    said = JSON.parse(String(header));
  } catch {
    said = undefined;
  }
  const { remoteAddress, subject } = (said ?? {}) as { remoteAddress?: unknown; subject?: unknown };
  const valid =
    typeof remoteAddress === 'string' && (subject === undefined || isSubject(subject as object));
  if (!valid) throw new ApiError('BAD_REQUEST', `the header ${PEER_HEADER} names no peer`);
  return subject === undefined ? { remoteAddress } : { remoteAddress, subject: subject as Subject };
}

function isSubject(value: object | null): boolean {
  const { nodeId, role, clusterId } = (value ?? {}) as Partial<Record<keyof Subject, unknown>>;
  return (
    typeof nodeId === 'string' &&
    typeof clusterId === 'string' &&
    (role === 'manager' || role === 'worker')
  );
}
