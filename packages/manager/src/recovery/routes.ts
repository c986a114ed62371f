import { once } from 'node:events';
import { ApiError, type RaftStatusReply } from '@swarm/api';
import { metricsText } from '@swarm/raft';
import { flagOf, sendJson } from '@swarm/http';
import { freshState } from '../api/gate.js';
import type { ManagerAccess } from '../api/manager-access.js';
import type { Call, Route } from '../api/router.js';
import { BACKUP_FORMAT, type BackupHeader, writeBackup } from './backup-file.js';
import type { RaftAccess } from './raft-access.js';

function raftOf({ raft }: ManagerAccess): RaftAccess {
  if (raft === undefined) throw new ApiError('NOT_IN_SWARM', 'no Raft member runs here');
  return raft;
}

/** Streams a backup. Its checksum comes last, so the client notices one that breaks off. */
async function backup(call: Call, manager: ManagerAccess): Promise<void> {
  const { response, services, target } = call;
  const raft = raftOf(manager);
  // The backup must hold everything acknowledged before the call, which takes a quorum to know.
  if (!flagOf(target.query, 'stale')) await freshState(services, manager);
  const { meta, view } = await raft.view();
  try {
    const { clusterId, nodeId } = services.self;
    const header: BackupHeader = {
      format: BACKUP_FORMAT,
      clusterId,
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

function status(call: Call, manager: ManagerAccess): void {
  const { clusterId } = call.services.self;
  const reply: RaftStatusReply = { clusterId, ...raftOf(manager).status() };
  sendJson(call.response, reply);
}

function metrics(call: Call, manager: ManagerAccess): void {
  const port = manager.portMetrics?.() ?? [];
  const text = metricsText([...raftOf(manager).metrics(), ...port]);
  call.response.writeHead(200, {
    'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
  });
  call.response.end(text);
}

/** These routes expose secrets and the CA's key: the table of rights reserves them for local clients. */
export const recoveryRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/x/backup', on: 'node', handle: backup },
  { method: 'GET', pattern: '/x/raft/status', on: 'node', handle: status },
  { method: 'GET', pattern: '/x/metrics', on: 'node', handle: metrics },
];
