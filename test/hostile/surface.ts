/** Kinds of request bodies; the attack generates valid and invalid ones. */
export type BodyKind =
  | 'none'
  | 'service'
  | 'node'
  | 'cluster'
  | 'init'
  | 'join'
  | 'network'
  | 'secret'
  | 'certificate'
  | 'member'
  | 'attachment'
  | 'release'
  | 'logs'
  | 'backup';

/** A path and method of port 2377. */
export interface SurfaceRoute {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** `{id}` is one part of the path, `{image...}` one or more. */
  readonly pattern: string;
  readonly body: BodyKind;
  /** Names of query parameters that its handler reads. */
  readonly query?: readonly string[];
}

/** Requests that open a WebSocket. */
export const SOCKET_PATHS = ['/dispatcher', '/raft', '/raft/snapshot'] as const;

/** Small JSON requests between nodes. */
export const NODE_SURFACE: readonly SurfaceRoute[] = [
  { method: 'GET', pattern: '/ca/root', body: 'none' },
  { method: 'POST', pattern: '/ca/certificates', body: 'certificate' },
  { method: 'GET', pattern: '/raft/probe', body: 'none' },
  { method: 'GET', pattern: '/raft/members', body: 'none' },
  { method: 'POST', pattern: '/raft/members', body: 'member' },
  { method: 'DELETE', pattern: '/raft/members', body: 'none' },
  { method: 'POST', pattern: '/attachments/network', body: 'attachment' },
  { method: 'GET', pattern: '/attachments', body: 'none' },
  { method: 'POST', pattern: '/attachments', body: 'attachment' },
  { method: 'POST', pattern: '/attachments/release', body: 'release' },
];

/** The API for remote clients. */
export const API_SURFACE: readonly SurfaceRoute[] = [
  { method: 'GET', pattern: '/_ping', body: 'none' },
  { method: 'HEAD', pattern: '/_ping', body: 'none' },
  { method: 'GET', pattern: '/version', body: 'none' },
  { method: 'GET', pattern: '/info', body: 'none' },
  { method: 'GET', pattern: '/distribution/{image...}/json', body: 'none' },
  { method: 'POST', pattern: '/swarm/init', body: 'init' },
  { method: 'POST', pattern: '/swarm/join', body: 'join' },
  { method: 'POST', pattern: '/swarm/leave', body: 'none', query: ['force'] },
  { method: 'POST', pattern: '/x/reconnect', body: 'join' },
  { method: 'GET', pattern: '/swarm/unlockkey', body: 'none' },
  { method: 'POST', pattern: '/swarm/unlock', body: 'join' },
  {
    method: 'POST',
    pattern: '/swarm/update',
    body: 'cluster',
    query: ['version', 'rotateWorkerToken', 'rotateManagerToken', 'rotateManagerUnlockKey'],
  },
  { method: 'GET', pattern: '/swarm', body: 'none' },
  {
    method: 'GET',
    pattern: '/services/{id}/logs',
    body: 'none',
    query: ['follow', 'stdout', 'stderr', 'tail', 'since'],
  },
  {
    method: 'GET',
    pattern: '/tasks/{id}/logs',
    body: 'none',
    query: ['follow', 'stdout', 'stderr', 'tail', 'since'],
  },
  { method: 'POST', pattern: '/x/logs', body: 'logs' },
  { method: 'GET', pattern: '/nodes', body: 'none', query: ['filters'] },
  { method: 'GET', pattern: '/nodes/{id}', body: 'none' },
  { method: 'DELETE', pattern: '/nodes/{id}', body: 'none', query: ['force'] },
  { method: 'POST', pattern: '/nodes/{id}/update', body: 'node', query: ['version'] },
  { method: 'GET', pattern: '/services', body: 'none', query: ['filters', 'status'] },
  { method: 'POST', pattern: '/services/create', body: 'service' },
  { method: 'GET', pattern: '/services/{id}', body: 'none', query: ['insertDefaults'] },
  { method: 'DELETE', pattern: '/services/{id}', body: 'none' },
  {
    method: 'POST',
    pattern: '/services/{id}/update',
    body: 'service',
    query: ['version', 'rollback', 'registryAuthFrom'],
  },
  { method: 'GET', pattern: '/tasks', body: 'none', query: ['filters'] },
  { method: 'GET', pattern: '/tasks/{id}', body: 'none' },
  { method: 'GET', pattern: '/networks', body: 'none', query: ['filters'] },
  { method: 'POST', pattern: '/networks/create', body: 'network' },
  { method: 'POST', pattern: '/networks/prune', body: 'none', query: ['filters'] },
  { method: 'POST', pattern: '/networks/{id}/connect', body: 'attachment' },
  { method: 'POST', pattern: '/networks/{id}/disconnect', body: 'attachment' },
  { method: 'GET', pattern: '/networks/{id}', body: 'none' },
  { method: 'DELETE', pattern: '/networks/{id}', body: 'none' },
  { method: 'GET', pattern: '/secrets', body: 'none', query: ['filters'] },
  { method: 'POST', pattern: '/secrets/create', body: 'secret' },
  { method: 'GET', pattern: '/secrets/{id}', body: 'none' },
  { method: 'DELETE', pattern: '/secrets/{id}', body: 'none' },
  { method: 'POST', pattern: '/secrets/{id}/update', body: 'secret', query: ['version'] },
  { method: 'GET', pattern: '/configs', body: 'none', query: ['filters'] },
  { method: 'POST', pattern: '/configs/create', body: 'secret' },
  { method: 'GET', pattern: '/configs/{id}', body: 'none' },
  { method: 'DELETE', pattern: '/configs/{id}', body: 'none' },
  { method: 'POST', pattern: '/configs/{id}/update', body: 'secret', query: ['version'] },
  { method: 'GET', pattern: '/events', body: 'none', query: ['since', 'until', 'filters'] },
  { method: 'GET', pattern: '/x/services/{id}/history', body: 'none' },
  {
    method: 'POST',
    pattern: '/x/services/{id}/rollback',
    body: 'none',
    query: ['version', 'to'],
  },
  { method: 'POST', pattern: '/x/services/{id}/resume', body: 'none', query: ['version'] },
  { method: 'GET', pattern: '/x/backup', body: 'none', query: ['stale'] },
  {
    method: 'POST',
    pattern: '/x/restore',
    body: 'backup',
    query: ['listenAddr', 'advertiseAddr', 'dataPathAddr'],
  },
  { method: 'GET', pattern: '/x/mesh/trace', body: 'none', query: ['from', 'to', 'node'] },
  { method: 'GET', pattern: '/x/raft/status', body: 'none' },
  { method: 'GET', pattern: '/x/metrics', body: 'none' },
];

/** Paths that nothing serves, some of them a step away from one that is. */
export const UNSERVED_PATHS: readonly string[] = [
  '/',
  '*',
  '/nothing/here',
  '//ca/root',
  '/ca/root/',
  '/ca/../nodes',
  '/ca/%2e%2e/nodes',
  '/CA/ROOT',
  '/ca/root;x=1',
  '/ca/root#x',
  '/ca/root\\..\\nodes',
  '/v1.50/ca/root',
  '/v1.50/ca/certificates',
  '/v9999.9999/nodes',
  '/v1.50',
  '/nodes/%zz',
  '/nodes/%00',
  '/nodes/..%2f..%2fetc%2fpasswd',
  '/containers/json',
  '/exec/x/start',
  '/session',
  '/grpc',
  '/__proto__',
  '/constructor',
  'http://169.254.169.254/latest/meta-data/',
  'https://127.0.0.1:2377/nodes',
];
