import { createHash } from 'node:crypto';
import {
  ApiError,
  type Clock,
  type Cluster,
  featureLevelProblem,
  highestCommon,
  ID_LENGTH,
  type Logger,
  type Node,
  type NodeAvailability,
  type NodeRole,
  isPlainText,
  parseIpAddress,
  parseJoinToken,
  PROGRAM,
  type Program,
  protocolProblem,
  rootDigest,
  sameToken,
  toBase36,
  UNNAMED_PROGRAM,
} from '@swarm/api';
import {
  BACKDATE_MS,
  type CertificateReply,
  type CertificateRequest,
  checkValidity,
  isValidAt,
  type Proof,
  REJOIN,
  REQUEST_LIMIT,
} from '@swarm/identity';
import { neverSeen } from '../dispatcher/node-states.js';
import { RefusalLog } from '../assembly/refusal-log.js';
import { levelOf } from '../store/feature-levels.js';
import type { Store } from '../store/store.js';
import {
  type CaContext,
  type CertificateIssuer,
  type Issued,
  nodeLifeMs,
} from './certificate-issuer.js';
import { FailureLimit, hostOf } from './failure-limit.js';
import { IssueLimit, JOINS, RENEWALS } from './issue-limit.js';
import { refuseRemoved } from './removed.js';
import { readProgram } from './read-program.js';
import { certificateDer } from './root.js';

/** The node that asks. */
export interface CaPeer {
  readonly remoteAddress: string;
  /** From the certificate, of any time, for a renewal; absent when the connection has none of this cluster. */
  readonly proof?: Proof;
}

export interface CaServerContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly issuer: CertificateIssuer;
}

/** The CA's HTTP routes, without HTTP. The caller that mounts them turns ApiError into a response. */
export interface CaServer {
  /** `GET /ca/root`, for anybody: a node that joins checks it against its token. */
  root(): { readonly certificate: string };
  /**
   * `POST /ca/certificates`: a first certificate for a token, or a renewal for a certificate. Writes to the
   * store, so a follower forwards the request to the leader.
   * @throws ApiError
   */
  issue(body: unknown, peer: CaPeer): Promise<CertificateReply>;
}

const HOSTNAME_LIMIT = 253;
/** Longest token, characters; ours have 85. */
const TOKEN_LIMIT = 256;
const AVAILABILITIES: readonly string[] = ['active', 'pause', 'drain'];
/**
 * How far certificates may be dated ahead of our clock; the rest of BACKDATE_MS covers hosts whose clock is
 * behind ours.
 */
const AHEAD_LIMIT_MS = BACKDATE_MS / 2;
/** Tries of a renewal while the node object changes in between. */
const RETRY_LIMIT = 5;

/** Makes the CA's routes over a store. */
export function createCaServer(context: CaServerContext): CaServer {
  const { store, clock, logger, issuer } = context;
  const failures = new FailureLimit(() => clock.monotonicMs());
  const refusals = new RefusalLog(logger, clock);
  /**
   * `Authority` compares a certificate's time with the last change of its node, to find out whether its own
   * store is behind. So certificates use the store's clock, as far ahead of ours as other hosts accept.
   */
  const issuing: CaContext = {
    randomBytes: context.randomBytes,
    clock: { now: () => Math.min(store.timeMs(), clock.now() + AHEAD_LIMIT_MS) },
  };
  const renewals = new IssueLimit(RENEWALS, () => clock.monotonicMs());
  const joins = new IssueLimit(JOINS, () => clock.monotonicMs());

  function cluster(): Cluster {
    const found = store.cluster();
    if (found === undefined) {
      throw new ApiError(
        'NOT_IN_SWARM',
        'This node is not part of a cluster: `docker swarm init` or join.',
      );
    }
    return found;
  }

  function roleOf(token: string, peer: CaPeer): NodeRole {
    if (failures.exceeded(peer.remoteAddress)) {
      throw new ApiError(
        'OVERLOADED',
        'Too many wrong join tokens: wait a minute, then try again.',
      );
    }
    try {
      return roleByToken(cluster(), token);
    } catch (error) {
      failures.failed(peer.remoteAddress);
      refusals.refused(
        { remoteAddress: peer.remoteAddress },
        'a node tried to join with a wrong token',
      );
      throw error;
    }
  }

  async function issueFirst(request: CertificateRequest, peer: CaPeer): Promise<CertificateReply> {
    const role = roleOf(request.token!, peer);
    checkProgram(request.program ?? UNNAMED_PROGRAM, role, cluster());
    const publicKey = await issuer.readRequest(request.csr);
    const { ID: clusterId, Private, Spec } = cluster();
    const nodeId = nodeIdOf(clusterId, publicKey);
    refuseRemoved(store, nodeId);
    // The same key again: the answer to an earlier request was lost, and this is the same node.
    const known = store.get('node', nodeId);
    if (known !== undefined) {
      if (role === 'worker' && certifiedRole(known) === 'manager') {
        throw new ApiError(
          'INVALID_TOKEN',
          `Node ${nodeId} is a manager by now, and this is a worker's token: ${REJOIN}.`,
        );
      }
      return renew(nodeId, publicKey);
    }
    const host = hostOf(peer.remoteAddress);
    joins.spend(host, `Too many nodes join from ${peer.remoteAddress || 'one host'}`);
    const issued = await issuer.issue(
      issuing,
      { certificate: Private.CACert, key: Private.CAKey },
      publicKey,
      { nodeId, role, clusterId },
      nodeLifeMs(Spec),
    );
    try {
      await store.transact((transaction) => {
        transaction.create('node', newNode(nodeId, role, request, peer, issued));
      });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'CONFLICT') throw error;
      return renew(nodeId, publicKey);
    }
    logger.info({ nodeId, role, hostname: request.hostname }, 'node joined the cluster');
    return reply(nodeId, issued.certificate, role);
  }

  /** A node that joins opens its tunnels on the cluster's port. */
  function reply(nodeId: string, certificate: string, role: NodeRole): CertificateReply {
    return { nodeId, certificate, role, dataPathPort: cluster().DataPathPort };
  }

  /**
   * Lets a worker that was off for too long renew its last certificate: for as long after its time as it was
   * valid. It proves its key, the cluster still has the node, and nobody got a newer certificate of it since, so
   * an older copy of its key is of no use. It stays a worker. Managers issue their own.
   * @throws ApiError CERTIFICATE_EXPIRED, UNAUTHENTICATED
   */
  function checkTime(proof: Proof): void {
    const nowMs = clock.now();
    if (isValidAt(proof, nowMs)) return;
    const { subject, issuedAtMs, expiresAtMs } = proof;
    const node = store.get('node', subject.nodeId);
    const isWorker =
      subject.role === 'worker' && node !== undefined && certifiedRole(node) === 'worker';
    const isLast = isWorker && Date.parse(node.CertificateExpiresAt ?? '') === expiresAtMs;
    if (!isLast || nowMs - expiresAtMs > expiresAtMs - issuedAtMs) checkValidity(proof, nowMs);
    const expiredAt = new Date(expiresAtMs).toISOString();
    logger.warn({ nodeId: subject.nodeId, expiredAt }, 'a worker renews an expired certificate');
  }

  async function renew(nodeId: string, publicKey: ArrayBuffer): Promise<CertificateReply> {
    refuseRemoved(store, nodeId);
    for (let attempt = 1; ; attempt += 1) {
      const node = store.get('node', nodeId);
      if (node === undefined) {
        throw new ApiError(
          'PERMISSION_DENIED',
          `Node ${nodeId} is not in the cluster any more: ${REJOIN}.`,
        );
      }
      // Each try is a log entry, also one that another change of the node overtakes.
      renewals.spend(nodeId, `Node ${nodeId} has its certificate renewed too often`);
      const role = certifiedRole(node);
      const { ID: clusterId, Private, Spec } = cluster();
      const issued = await issuer.issue(
        issuing,
        { certificate: Private.CACert, key: Private.CAKey },
        publicKey,
        { nodeId, role, clusterId },
        nodeLifeMs(Spec),
      );
      const CertificateExpiresAt = latest(node.CertificateExpiresAt, issued.expiresAtMs);
      try {
        // The role was read from `node`, so a change in between makes this write fail.
        await store.transact((transaction) => {
          transaction.update('node', { ...node, Role: role, CertificateExpiresAt });
        });
        return reply(nodeId, issued.certificate, role);
      } catch (error) {
        const changed = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
        if (!changed || attempt >= RETRY_LIMIT) throw error;
      }
    }
  }

  return {
    root: () => ({ certificate: cluster().Private.CACert }),
    async issue(body, peer) {
      const request = readBody(body);
      if (request.token !== undefined) return issueFirst(request, peer);
      if (peer.proof === undefined) {
        throw new ApiError('INVALID_TOKEN', `A join token is needed. ${WHERE_TOKENS_ARE}`);
      }
      checkTime(peer.proof);
      return renew(peer.proof.subject.nodeId, await issuer.readRequest(request.csr));
    },
  };
}

/**
 * Checks versions before the node is stored, so that one that cannot take part leaves nothing behind.
 * @throws ApiError WRONG_VERSION
 */
function checkProgram(program: Program, role: NodeRole, cluster: Cluster): void {
  const name = 'the joining node';
  const { Protocol: own } = PROGRAM;
  const problem =
    highestCommon(own, program.Protocol) === undefined
      ? protocolProblem(
          { name, protocols: program.Protocol },
          { name: 'the leader of the cluster', protocols: own },
        )
      : role === 'manager'
        ? featureLevelProblem(name, program, levelOf(cluster))
        : undefined;
  if (problem !== undefined) throw new ApiError('WRONG_VERSION', problem);
}

const WHERE_TOKENS_ARE =
  'Run `docker swarm join-token worker` (or `manager`) on a manager for the one that is valid now.';

/**
 * The role that a token gives.
 * @throws ApiError INVALID_TOKEN, which says whether the token is malformed, rotated, or of another cluster
 */
export function roleByToken(cluster: Cluster, token: string): NodeRole {
  // Compares both always, so that the time taken reveals nothing about the token.
  const isManager = sameToken(token, cluster.JoinTokens.Manager);
  const isWorker = sameToken(token, cluster.JoinTokens.Worker);
  if (isManager) return 'manager';
  if (isWorker) return 'worker';
  const parsed = parseJoinToken(token);
  if (parsed === undefined) {
    throw new ApiError('INVALID_TOKEN', `This is not a join token. ${WHERE_TOKENS_ARE}`);
  }
  const ours = rootDigest(certificateDer(cluster.Private.CACert));
  throw new ApiError(
    'INVALID_TOKEN',
    parsed.digest === ours
      ? `The join token is not valid any more, it was rotated. ${WHERE_TOKENS_ARE}`
      : `The token is of another cluster. ${WHERE_TOKENS_ARE}`,
  );
}

/**
 * The role of a node's next certificate: the wanted one, except that a manager stays one until it is out of
 * the Raft group, or it could not take part in its own removal.
 */
export function certifiedRole(node: Node): NodeRole {
  return node.RaftID === undefined ? node.Spec.Role : 'manager';
}

/**
 * When the last of a node's certificates expires. A shorter life for new ones does not end older ones, and a
 * removed node is refused for as long as any is valid.
 */
function latest(known: string | undefined, expiresAtMs: number): string {
  const knownMs = Date.parse(known ?? '');
  return new Date(
    Number.isNaN(knownMs) ? expiresAtMs : Math.max(knownMs, expiresAtMs),
  ).toISOString();
}

/** Derives a node's id from its key, so that a repeated join makes no second node. */
function nodeIdOf(clusterId: string, publicKey: ArrayBuffer): string {
  const hash = createHash('sha256').update(clusterId).update('\0').update(Buffer.from(publicKey));
  return toBase36(hash.digest().subarray(0, 16), ID_LENGTH);
}

function newNode(
  nodeId: string,
  role: NodeRole,
  request: CertificateRequest,
  peer: CaPeer,
  issued: Issued,
) {
  return {
    ID: nodeId,
    Spec: { Labels: {}, Role: role, Availability: request.availability ?? 'active' },
    Role: role,
    Status: neverSeen(parseIpAddress(peer.remoteAddress) ?? ''),
    CertificateExpiresAt: new Date(issued.expiresAtMs).toISOString(),
    // A placeholder until the node describes itself in its first session.
    ...(request.hostname === undefined
      ? {}
      : {
          Description: {
            Hostname: request.hostname,
            Platform: { Architecture: '', OS: '' },
            Resources: {},
            Engine: { EngineVersion: '' },
          },
        }),
  };
}

function readBody(body: unknown): CertificateRequest {
  const invalid = (message: string) => new ApiError('INVALID_ARGUMENT', message);
  if (typeof body !== 'object' || body === null) throw invalid('The body must be a JSON object.');
  const { csr, token, hostname, availability, program } = body as Record<string, unknown>;
  if (typeof csr !== 'string' || csr.length > REQUEST_LIMIT) {
    throw invalid(
      `The certificate request ("csr") must be PEM of at most ${REQUEST_LIMIT} characters.`,
    );
  }
  if (token !== undefined && (typeof token !== 'string' || token.length > TOKEN_LIMIT)) {
    throw invalid(`"token" must be a string of at most ${TOKEN_LIMIT} characters.`);
  }
  if (hostname !== undefined && !isPlainText(hostname, HOSTNAME_LIMIT)) {
    throw invalid(
      `"hostname" must be a string of at most ${HOSTNAME_LIMIT} characters, none of them a control character.`,
    );
  }
  if (availability !== undefined && !AVAILABILITIES.includes(availability as string)) {
    throw invalid('"availability" must be active, pause or drain.');
  }
  return {
    csr,
    ...(token === undefined ? {} : { token }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(availability === undefined ? {} : { availability: availability as NodeAvailability }),
    ...(program === undefined ? {} : { program: readProgram(program) }),
  };
}
