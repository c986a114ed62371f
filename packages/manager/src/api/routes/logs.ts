import { once } from 'node:events';
import { ApiError, type LogOptions, type TaskSpec } from '@swarm/api';
import { flagOf, momentOf } from '@swarm/http';
import { frame, line } from '../log-frame.js';
import type { LogSelector } from '../../logbroker/index.js';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import type { Call, Route } from '../router.js';

/** Warnings kept until the end of a stream. */
const WARNINGS_LIMIT = 20;

function optionsOf(query: URLSearchParams): LogOptions {
  const stdout = flagOf(query, 'stdout');
  const stderr = flagOf(query, 'stderr');
  if (!stdout && !stderr) {
    throw new ApiError('BAD_REQUEST', 'Bad parameters: you must choose at least one stream');
  }
  const tail = query.get('tail') ?? 'all';
  if (tail !== '' && tail !== 'all' && !/^\d{1,9}$/.test(tail)) {
    throw new ApiError('BAD_REQUEST', `tail: "${tail}" is not a number of lines; give one, or all`);
  }
  const since = momentOf(query, 'since');
  if (momentOf(query, 'until') !== undefined) {
    throw new ApiError('UNIMPLEMENTED', 'until: is not served for logs of services and tasks');
  }
  return {
    follow: flagOf(query, 'follow'),
    stdout,
    stderr,
    tail: tail === '' || tail === 'all' ? -1 : Number(tail),
    ...(since !== undefined && { since: new Date(since).toISOString() }),
  };
}

async function stream(
  call: Call,
  manager: ManagerAccess,
  selector: LogSelector,
  task: TaskSpec,
): Promise<void> {
  const { response, target, services } = call;
  const options = optionsOf(target.query);
  const shape = {
    timestamps: flagOf(target.query, 'timestamps'),
    details: flagOf(target.query, 'details'),
  };
  // A terminal has one stream, so there is nothing to tell apart and no framing.
  const raw = task.ContainerSpec?.TTY === true;
  const multiplexed = !raw && target.minor >= 42;
  response.writeHead(200, {
    'Content-Type': multiplexed
      ? 'application/vnd.docker.multiplexed-stream'
      : 'application/vnd.docker.raw-stream',
  });
  response.flushHeaders();
  // Ends the wait for the next line when the client is gone or the server closes.
  const ended = new AbortController();
  const end = (): void => ended.abort();
  response.once('close', end);
  services.closing.addEventListener('abort', end, { once: true });
  const warnings: string[] = [];
  try {
    for await (const item of manager.logs(selector, options, ended.signal)) {
      if (ended.signal.aborted) break;
      if (item.type === 'warning') {
        if (warnings.length < WARNINGS_LIMIT) warnings.push(item.message);
        continue;
      }
      const serviceId = manager.store.get('task', item.line.taskId)?.ServiceID ?? '';
      const text = line({ ...item.line, nodeId: item.nodeId, serviceId }, shape);
      const more = response.write(raw ? text : frame(item.line.stream, text));
      // The broker is only asked for the next line when the client has room for it.
      if (!more) await once(response, 'drain', { signal: ended.signal }).catch(() => {});
    }
  } catch (error) {
    if (!ended.signal.aborted) warnings.push((error as Error).message);
  } finally {
    response.off('close', end);
    services.closing.removeEventListener('abort', end);
  }
  // Stock clients stop at the first error in the stream, so it comes after all lines.
  for (const warning of warnings) {
    const text = Buffer.from(`Error grabbing logs: ${warning}\n`);
    if (!response.destroyed) response.write(raw ? text : frame('error', text));
  }
  response.end();
}

function serviceLogs(call: Call, manager: ManagerAccess): Promise<void> {
  const service = find(manager.store, 'service', call.params.id!);
  const selector = { serviceIds: [service.ID], taskIds: [] };
  return stream(call, manager, selector, service.Spec.TaskTemplate);
}

function taskLogs(call: Call, manager: ManagerAccess): Promise<void> {
  const task = find(manager.store, 'task', call.params.id!);
  return stream(call, manager, { serviceIds: [], taskIds: [task.ID] }, task.Spec);
}

export const logRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/services/{id}/logs', on: 'leader', handle: serviceLogs },
  { method: 'GET', pattern: '/tasks/{id}/logs', on: 'leader', handle: taskLogs },
];
