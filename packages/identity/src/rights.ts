import { ApiError } from '@swarm/api';
import { REJOIN } from './identify.js';
import type { Principal, PrincipalKind } from './principal.js';

type Kinds = readonly PrincipalKind[];

const EVERYBODY: Kinds = ['nobody', 'unknown', 'worker', 'demoted', 'departing', 'manager'];
const NODES: Kinds = ['worker', 'demoted', 'departing', 'manager'];
const MANAGERS: Kinds = ['manager'];
/** Members of the Raft group: those about to leave it and possible new ones too. */
const GROUP: Kinds = ['newcomer', 'departing', 'manager'];
const OPERATORS: Kinds = ['local', 'manager'];
/** For what concerns this host, or reveals keys: not for other nodes of any kind. */
const THIS_HOST: Kinds = ['local'];

/**
 * Who may use what. Nobody may use what is not listed. `METHOD /pattern` is a request, with the pattern of
 * its route; `UPGRADE /path` a WebSocket on the managers' port; `message TYPE` a message of a dispatcher
 * session. Two rows have names of their own: `forward` and `engine`.
 */
const TABLE = {
  // Among nodes, on the managers' port only.
  'GET /ca/root': EVERYBODY,
  'POST /ca/certificates': EVERYBODY,
  'GET /raft/probe': GROUP,
  'GET /raft/members': MANAGERS,
  'POST /raft/members': MANAGERS,
  'DELETE /raft/members': ['departing', 'manager'],
  // For containers of the node's own Docker Engine only.
  'POST /attachments/network': NODES,
  'GET /attachments': NODES,
  'POST /attachments': NODES,
  'POST /attachments/release': NODES,
  'UPGRADE /raft': GROUP,
  'UPGRADE /raft/snapshot': GROUP,
  'UPGRADE /dispatcher': NODES,
  // To pass on the request of a peer of a manager, in that peer's name.
  forward: MANAGERS,

  // What an agent sends in its session, for itself and its own tasks only.
  'message hello': NODES,
  'message heartbeat': NODES,
  'message status': NODES,
  'message mesh-ack': NODES,
  'message assignments-ack': NODES,
  'message description': NODES,
  'message log': NODES,
  'message log-end': NODES,

  // The API.
  'GET /_ping': OPERATORS,
  'HEAD /_ping': OPERATORS,
  'GET /version': OPERATORS,
  'GET /info': OPERATORS,
  'GET /distribution/{image...}/json': OPERATORS,
  'GET /events': OPERATORS,
  'GET /swarm': OPERATORS,
  'POST /swarm/update': OPERATORS,
  'POST /swarm/init': THIS_HOST,
  'POST /swarm/join': THIS_HOST,
  'POST /swarm/leave': THIS_HOST,
  'GET /swarm/unlockkey': OPERATORS,
  'POST /swarm/unlock': THIS_HOST,
  'GET /nodes': OPERATORS,
  'GET /nodes/{id}': OPERATORS,
  'DELETE /nodes/{id}': OPERATORS,
  'POST /nodes/{id}/update': OPERATORS,
  'GET /services': OPERATORS,
  'POST /services/create': OPERATORS,
  'GET /services/{id}': OPERATORS,
  'DELETE /services/{id}': OPERATORS,
  'POST /services/{id}/update': OPERATORS,
  'GET /services/{id}/logs': OPERATORS,
  'GET /x/services/{id}/history': OPERATORS,
  'POST /x/services/{id}/rollback': OPERATORS,
  'POST /x/services/{id}/resume': OPERATORS,
  'GET /tasks': OPERATORS,
  'GET /tasks/{id}': OPERATORS,
  'GET /tasks/{id}/logs': OPERATORS,
  // For the clients of that manager, which go on reading when the leader changes.
  'POST /x/logs': MANAGERS,
  'GET /networks': OPERATORS,
  'POST /networks/create': OPERATORS,
  'POST /networks/{id}/connect': OPERATORS,
  'POST /networks/{id}/disconnect': OPERATORS,
  'GET /networks/{id}': OPERATORS,
  'DELETE /networks/{id}': OPERATORS,
  'POST /networks/prune': OPERATORS,
  'GET /secrets': OPERATORS,
  'POST /secrets/create': OPERATORS,
  'GET /secrets/{id}': OPERATORS,
  'DELETE /secrets/{id}': OPERATORS,
  'POST /secrets/{id}/update': OPERATORS,
  'GET /configs': OPERATORS,
  'POST /configs/create': OPERATORS,
  'GET /configs/{id}': OPERATORS,
  'DELETE /configs/{id}': OPERATORS,
  'POST /configs/{id}/update': OPERATORS,
  'GET /x/backup': THIS_HOST,
  'POST /x/restore': THIS_HOST,
  'POST /x/reconnect': THIS_HOST,
  'GET /x/raft/status': THIS_HOST,
  'GET /x/metrics': THIS_HOST,
  'GET /x/mesh/trace': THIS_HOST,
  // Every request that is not the cluster's goes to the host's Docker Engine, which is root on the host.
  engine: THIS_HOST,
} as const satisfies Readonly<Record<string, Kinds>>;

/** The name of a row of the table. */
export type Right = keyof typeof TABLE;

const RIGHTS: ReadonlyMap<string, Kinds> = new Map(Object.entries(TABLE));

/** Every row of the table. */
export const ALL_RIGHTS = [...RIGHTS.keys()] as readonly Right[];

/** Whether the table gives this kind the right. Nobody has a right that is not in the table. */
export function mayUse(kind: PrincipalKind, right: string): boolean {
  return RIGHTS.get(right)?.includes(kind) === true;
}

/** @throws ApiError UNAUTHENTICATED, UNKNOWN_NODE, PERMISSION_DENIED with what to do */
export function requireRight(principal: Principal, right: string): void {
  if (mayUse(principal.kind, right)) return;
  switch (principal.kind) {
    case 'nobody':
      throw new ApiError(
        'UNAUTHENTICATED',
        'No certificate was presented: join the cluster first, with a token from `docker swarm join-token`.',
      );
    case 'unknown':
      throw new ApiError(
        'UNKNOWN_NODE',
        `This cluster does not know node ${principal.nodeId}: ${REJOIN}.`,
      );
    case 'worker':
      throw denied(`This needs a manager's certificate; node ${principal.nodeId} is a worker.`);
    case 'demoted':
    case 'departing':
      throw denied(
        `Node ${principal.nodeId} was demoted: its manager certificate is no longer valid for this.`,
      );
    case 'newcomer':
      throw denied(
        `Node ${principal.nodeId} is not known as a manager here yet: try again in a moment.`,
      );
    case 'manager':
      throw denied("Ask on the node itself, through the daemon's socket.");
    case 'local':
      throw denied('This is not for local clients.');
  }
}

function denied(message: string): ApiError {
  return new ApiError('PERMISSION_DENIED', message);
}
