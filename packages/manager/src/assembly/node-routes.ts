import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, type Clock, type Logger, pause } from '@swarm/api';
import { AnswerLostError } from '@swarm/http';
import type { MemberInfo, RaftNode } from '@swarm/raft';
import { checkValidity, type Right, type Trust } from '@swarm/identity';
import { LEADER_POLL_MS } from '../api/gate.js';
import type { AttachmentRoute } from '../attachments/attachment-routes.js';
import type { Authority } from '../authority/index.js';
import type { CaServer } from '../ca/ca-server.js';
import { makeWorker } from '../role-manager/make-worker.js';
import { removeNode } from '../role-manager/remove-node.js';
import type { RoleNotes } from '../role-manager/role-notes.js';
import type { Store } from '../store/store.js';
import { FORWARD, noForwarder, PEER_HEADER, type Peer, readPeer, writePeer } from './forwarded.js';
import {
  admitMember,
  dropLearner,
  JOIN_PATH,
  type ManagerCalls,
  PROBE_PATH,
  readJoinBody,
  readLeaveBody,
} from './join-raft.js';
import type { LeaderLink, ProbeReply } from './leader-link.js';
import type { LocalManager } from './local-manager.js';
import { INSTANCE_HEADER, type MemberInstances } from './member-instances.js';
import type { MovedManagers } from './moved-managers.js';

/** Longest that a request waits for a leader; an election takes 1–2 s. */
const LEADER_WAIT_MS = 5000;

/** A request among nodes, with its body. */
export interface NodeRequest {
  readonly peer: Peer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly raw: Buffer;
  /** Parses the body. @throws ApiError BAD_REQUEST when it is not JSON */
  json(): unknown;
}

export interface NodeRoute {
  /** The right that the request needs. */
  readonly right: Right;
  /** Returns the answer, for JSON, or ANSWERED. */
  handle(asked: NodeRequest): Promise<unknown>;
}

/** Rights whose routes judge the time of the peer's certificate themselves. */
export const ANY_TIME: readonly string[] = ['POST /ca/certificates'];

/** Returned by a route that has answered by itself. */
export const ANSWERED = Symbol('answered');

export interface NodeRoutesContext {
  readonly self: Pick<LocalManager, 'nodeId' | 'advertiseAddress' | 'instance'>;
  readonly instances: Pick<MemberInstances, 'check'>;
  readonly calls: ManagerCalls;
  readonly moved: Pick<MovedManagers, 'addressesOf'>;
  readonly raft: RaftNode;
  readonly store: Store;
  readonly ca: CaServer;
  readonly link: LeaderLink;
  readonly authority: Authority;
  readonly trust: () => Trust;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly roleNotes: RoleNotes;
  readonly isLeader: () => boolean;
  readonly attachments: readonly AttachmentRoute[];
}

/** The small JSON requests among nodes: certificates, membership of the Raft group, and places on networks. */
export class NodeRoutes {
  readonly #context: NodeRoutesContext;
  readonly #routes: ReadonlyMap<string, NodeRoute>;

  constructor(context: NodeRoutesContext) {
    this.#context = context;
    const { ca } = context;
    const route = (right: Right, handle: NodeRoute['handle']) =>
      [right, { right, handle }] as const;
    this.#routes = new Map<string, NodeRoute>([
      route('GET /ca/root', async () => ca.root()),
      route('POST /ca/certificates', (asked) =>
        this.#onLeader(asked, 'POST /ca/certificates', ({ remoteAddress, proof }) =>
          ca.issue(asked.json(), {
            remoteAddress,
            ...(proof === undefined ? {} : { proof }),
          }),
        ),
      ),
      route(`GET ${PROBE_PATH}`, async () => this.#probed()),
      route(`GET ${JOIN_PATH}`, async () => this.#members()),
      route(`POST ${JOIN_PATH}`, (asked) =>
        this.#onLeader(asked, `POST ${JOIN_PATH}`, (peer) => this.#admit(asked, nodeIdOf(peer))),
      ),
      route(`DELETE ${JOIN_PATH}`, (asked) =>
        this.#onLeader(asked, `DELETE ${JOIN_PATH}`, (peer) => this.#letGo(asked, nodeIdOf(peer))),
      ),
      ...context.attachments.map(({ right, handle }) =>
        route(right, (asked) =>
          this.#onLeader(asked, right, async (peer) =>
            handle(nodeIdOf(peer), asked.raw.length === 0 ? undefined : asked.json()),
          ),
        ),
      ),
    ]);
  }

  /** Undefined for other paths. */
  find(method: string, path: string): NodeRoute | undefined {
    return this.#routes.get(`${method} ${path}`);
  }

  #probed(): ProbeReply {
    const { self, raft, isLeader } = this.#context;
    const { nodeId, instance } = self;
    if (!isLeader()) return { nodeId, instance, leads: false };
    const { id, members } = raft.status();
    const heard = members.filter(({ info, reachable }) => reachable || info.id === id);
    return { nodeId, instance, leads: true, reachable: heard.map(({ info }) => info.id) };
  }

  /** The members, each at the address where it was last known to answer. */
  #members(): readonly MemberInfo[] {
    const { raft, moved } = this.#context;
    return raft.status().members.map(({ info }) => ({
      ...info,
      address: moved.addressesOf(info)[0] ?? info.address,
    }));
  }

  async #admit(asked: NodeRequest, nodeId: string): Promise<unknown> {
    const { raft, store, self, calls, logger, roleNotes, instances } = this.#context;
    await instances.check(nodeId, asked.request.headers[INSTANCE_HEADER]);
    const { raftId, address, program } = readJoinBody(asked.json());
    const member = { id: raftId, address, nodeId };
    // A node that dies on the way, or gives up, leaves no learner behind that nobody waits for.
    const gone = () => {
      if (!asked.response.writableFinished) dropLearner(raft, raftId, logger);
    };
    asked.response.once('close', gone);
    try {
      await admitMember(raft, store, self, calls, member, program, logger);
      roleNotes.forget(nodeId);
      return {};
    } catch (error) {
      roleNotes.note(nodeId, (error as Error).message);
      throw error;
    } finally {
      asked.response.off('close', gone);
    }
  }

  /** Removes a member that asked to leave from the group, and makes its node a worker or removes it too. */
  async #letGo(asked: NodeRequest, nodeId: string): Promise<unknown> {
    const { raft, store, clock, instances } = this.#context;
    const { withdraws } = readLeaveBody(asked);
    await instances.check(nodeId, asked.request.headers[INSTANCE_HEADER]);
    // It has two ids while it comes back under a new one.
    for (const { info } of raft.status().members) {
      if (info.nodeId === nodeId) await raft.removeMember(info.id);
    }
    // Without this, its object would still ask for a manager, and it would join again.
    for (let attempt = 1; ; attempt += 1) {
      try {
        await store.transact((transaction) => {
          if (withdraws) removeNode(transaction, nodeId, clock.now());
          else makeWorker(transaction, nodeId);
        });
        return {};
      } catch (error) {
        const changed = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
        if (!changed || attempt >= LET_GO_ATTEMPTS) throw error;
      }
    }
  }

  /**
   * Lets the leader answer. Forwards the peer as this manager saw it, and the leader checks its rights again.
   * Waits for an election rather than ask a leader that no longer answers.
   * @throws ApiError NO_QUORUM after LEADER_WAIT_MS
   */
  async #onLeader(
    asked: NodeRequest,
    right: Right,
    here: (peer: Peer) => Promise<unknown>,
  ): Promise<unknown> {
    const { clock, link, isLeader } = this.#context;
    const { request, response, raw, peer } = asked;
    const forwarded = await this.#forwarded(asked, right);
    const until = clock.monotonicMs() + LEADER_WAIT_MS;
    while (!response.destroyed) {
      if (isLeader()) return here(forwarded ?? peer);
      if (forwarded === undefined && (await link.answers())) {
        const headers = { [PEER_HEADER]: writePeer(peer) };
        try {
          await link.forward(request, response, headers, raw, { from: 'nodes' });
          return ANSWERED;
        } catch (error) {
          if (!(error instanceof AnswerLostError) || error.mayBeDone) throw error;
        }
      }
      if (clock.monotonicMs() >= until) {
        throw new ApiError(
          'NO_QUORUM',
          'the managers have no leader at the moment: try again; more than half of them must be online',
        );
      }
      await pause(clock, LEADER_POLL_MS);
    }
    return ANSWERED;
  }

  /**
   * The peer that a manager forwards for; undefined when nobody forwarded. Refuses a sender that may not
   * forward, instead of serving it as itself: a manager that is being demoted still forwards what workers
   * ask, and would get their certificates under its own name.
   * @throws ApiError when the sender may not forward, the header is malformed, or its subject may not use
   *   the route
   */
  async #forwarded({ peer, request }: NodeRequest, right: Right): Promise<Peer | undefined> {
    const { authority, trust } = this.#context;
    const forwarded = readPeer(request);
    if (forwarded === undefined) return undefined;
    // The sender was admitted before its body came, which may be a while ago.
    if (peer.proof === undefined || !authority.holds(peer.proof, FORWARD)) throw noForwarder();
    if (forwarded.proof !== undefined && !ANY_TIME.includes(right))
      checkValidity(forwarded.proof, trust().nowMs);
    await authority.admit(forwarded.proof, right);
    return forwarded;
  }
}

/** Tries of the write: the dispatcher may write the node's object in between. */
const LET_GO_ATTEMPTS = 5;

function nodeIdOf({ proof }: Peer): string {
  if (proof !== undefined) return proof.subject.nodeId;
  throw new ApiError('PERMISSION_DENIED', 'this needs the certificate of a node');
}
