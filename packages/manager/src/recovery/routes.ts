import { once } from 'node:events';
import { ApiError, type RaftStatusReply } from '@swarm/api';
import { freshState, requireManager } from '../api/gate.js';
import { flagOf } from '../api/query.js';
import { sendJson } from '../api/reply.js';
import type { Call, Route } from '../api/router.js';
import { BACKUP_FORMAT, type BackupHeader, writeBackup } from './backup-file.js';
import type { RaftAccess } from './recovery-control.js';

function raftOf(call: Call): RaftAccess {
  const { raft } = requireManager(call.services.control);
  if (raft === undefined) throw new ApiError('NOT_IN_SWARM', 'no Raft member runs here');
  return raft;
}

/** Streams a backup; its checksum is the last thing in it, so one that breaks off is seen as such. */
async function backup(call: Call): Promise<void> {
  const { response, services, target } = call;
  const raft = raftOf(call);
  const manager = requireManager(services.control);
  // What was acknowledged anywhere before the call is in it; without a quorum nobody can promise that.
  if (!flagOf(target.query, 'stale')) await freshState(services, manager);
  const { meta, view } = await raft.view();
  try {
    const { clusterId, nodeId } = services.control.info();
    const header: BackupHeader = {
      format: BACKUP_FORMAT,
      clusterId: clusterId!,
      index: meta.index,
      term: meta.term,
      members: meta.members.map(({ id, nodeId: of, address }) => ({
        raftId: id,
        nodeId: of,
        address,
      })),
      removed: meta.removed,
      madeAt: new Date(services.clock.now()).toISOString(),
      madeBy: nodeId,
    };
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'X-Swarm-Index': meta.index,
    });
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    for await (const bytes of writeBackup(header, view.chunks())) {
      if (gone.signal.aborted) return;
      if (!response.write(bytes))
        await once(response, 'drain', { signal: gone.signal }).catch(() => {});
    }
    response.end();
  } finally {
    await view.release();
  }
}

async function restore(call: Call): Promise<void> {
  const { control } = call.services;
  if (control.recovery === undefined)
    throw new ApiError('UNIMPLEMENTED', 'this daemon can not restore backups');
  const { query } = call.target;
  const nodeId = await control.recovery.restore({
    backup: call.request,
    listenAddr: query.get('listenAddr') ?? '',
    advertiseAddr: query.get('advertiseAddr') ?? '',
    dataPathAddr: query.get('dataPathAddr') ?? '',
  });
  sendJson(call.response, nodeId);
}

function status(call: Call): void {
  const raft = raftOf(call);
  const { clusterId = '' } = call.services.control.info();
  const reply: RaftStatusReply = { clusterId, ...raft.status() };
  sendJson(call.response, reply);
}

async function metrics(call: Call): Promise<void> {
  const port = call.services.control.manager()?.portMetrics?.() ?? [];
  const measured = [...raftOf(call).metrics(), ...port];
  // Loaded only here: a worker, which answers the API too, has no use for it.
  const { metricsText } = await import('@swarm/raft');
  const text = metricsText(measured);
  call.response.writeHead(200, {
    'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
  });
  call.response.end(text);
}

/** Secrets and the CA's key leave by these routes: the table of rights keeps them for local clients. */
export const recoveryRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/x/backup', on: 'node', handle: backup },
  { method: 'POST', pattern: '/x/restore', on: 'node', handle: restore },
  { method: 'GET', pattern: '/x/raft/status', on: 'node', handle: status },
  { method: 'GET', pattern: '/x/metrics', on: 'node', handle: metrics },
];
