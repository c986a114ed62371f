import { ApiError } from '@swarm/api';
import { sendJson } from '@swarm/http';
import type { LocalCall, LocalRoute } from '../local-call.js';

async function restore(call: LocalCall): Promise<void> {
  const { control } = call.services;
  if (control.recovery === undefined)
    throw new ApiError('UNIMPLEMENTED', 'this daemon cannot restore backups');
  const { query } = call.target;
  const nodeId = await control.recovery.restore({
    backup: call.request,
    listenAddr: query.get('listenAddr') ?? '',
    advertiseAddr: query.get('advertiseAddr') ?? '',
    dataPathAddr: query.get('dataPathAddr') ?? '',
  });
  sendJson(call.response, nodeId);
}

export const restoreRoutes: readonly LocalRoute[] = [
  { method: 'POST', pattern: '/x/restore', handle: restore },
];
