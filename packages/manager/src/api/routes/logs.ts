import { ApiError, isTimestamp, type LogOptions, type TaskSpec } from '@swarm/api';
import { flagOf, momentOf } from '@swarm/http';
import { ALIVE_MS } from '../../logbroker/limits.js';
import type { LogSelector } from '../../logbroker/index.js';
import { LEADER_LOGS_PATH, readLogRequest, writeLogFrame } from '../../logbroker/log-wire.js';
import { LogReply } from '../log-reply.js';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import { onLeader } from '../on-leader.js';
import { ReplyBatch } from '../reply-batch.js';
import type { Call, Route } from '../router.js';

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
  const since = sinceOf(query);
  if (momentOf(query, 'until') !== undefined) {
    throw new ApiError('UNIMPLEMENTED', 'until: is not served for logs of services and tasks');
  }
  return {
    follow: flagOf(query, 'follow'),
    stdout,
    stderr,
    tail: tail === '' || tail === 'all' ? -1 : Number(tail),
    ...(since !== undefined && { since }),
  };
}

/** RFC 3339 with all the decimals that were given. @throws ApiError BAD_REQUEST */
function sinceOf(query: URLSearchParams): string | undefined {
  const moment = momentOf(query, 'since');
  const value = query.get('since') ?? '';
  if (moment === undefined || isTimestamp(value)) return moment === undefined ? undefined : value;
  const iso = new Date(moment).toISOString();
  const [, fraction] = /^\d+\.(\d+)$/.exec(value) ?? [];
  return fraction === undefined ? iso : `${iso.slice(0, 19)}.${fraction.padEnd(9, '0')}Z`;
}

/** Aborts when the client is gone, or the server closes. */
class Ending {
  readonly #controller = new AbortController();
  readonly #call: Call;
  readonly #end = (): void => this.#controller.abort();

  constructor(call: Call) {
    this.#call = call;
    call.response.once('close', this.#end);
    call.services.closing.addEventListener('abort', this.#end, { once: true });
    if (call.services.closing.aborted || call.response.destroyed) this.#end();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  release(): void {
    this.#call.response.off('close', this.#end);
    this.#call.services.closing.removeEventListener('abort', this.#end);
  }
}

async function stream(
  call: Call,
  manager: ManagerAccess,
  selector: LogSelector,
  task: TaskSpec,
  serviceId: string,
): Promise<void> {
  const { response, target, services } = call;
  const options = optionsOf(target.query);
  const shape = {
    timestamps: flagOf(target.query, 'timestamps'),
    details: flagOf(target.query, 'details'),
    removed: flagOf(target.query, 'removed'),
    stderr: options.stderr,
    terminal: task.ContainerSpec?.TTY === true,
    minor: target.minor,
    serviceId,
  };
  const reply = new LogReply(response, shape, manager.store, services.clock);
  const ending = new Ending(call);
  try {
    for await (const item of manager.logs(selector, options, ending.signal)) {
      if (ending.signal.aborted) break;
      await reply.put(item, ending.signal);
    }
  } catch (error) {
    if (!response.headersSent && isOfOldLeader(error, manager)) {
      return await onLeader(call, manager, undefined, () =>
        stream(call, manager, selector, task, serviceId),
      );
    }
    if (!response.headersSent) throw error;
    if (!ending.signal.aborted) reply.warn((error as Error).message);
  } finally {
    ending.release();
  }
  // Not an end that looks like the log's own: the client may go on with another manager.
  if (services.closing.aborted) response.destroy();
  else reply.end();
}

/** A leader of an earlier version serves no other manager, but answers what is forwarded. */
function isOfOldLeader(error: unknown, manager: ManagerAccess): boolean {
  const codes: readonly string[] = ['NOT_FOUND', 'METHOD_NOT_ALLOWED'];
  return error instanceof ApiError && codes.includes(error.code) && !manager.isLeader();
}

function serviceLogs(call: Call, manager: ManagerAccess): Promise<void> {
  const service = find(manager.store, 'service', call.params.id!);
  const selector = { serviceIds: [service.ID], taskIds: [] };
  return stream(call, manager, selector, service.Spec.TaskTemplate, service.ID);
}

function taskLogs(call: Call, manager: ManagerAccess): Promise<void> {
  const task = find(manager.store, 'task', call.params.id!);
  const selector = { serviceIds: [], taskIds: [task.ID] };
  return stream(call, manager, selector, task.Spec, task.ServiceID);
}

/** Logs for another manager, which shows them to its client and asks the next leader when this one is gone. */
async function leaderLogs(call: Call, manager: ManagerAccess): Promise<void> {
  const { response, services } = call;
  const { clock } = services;
  const request = readLogRequest(await services.bodies.readJson(call.request));
  if (!manager.isLeader())
    throw new ApiError('NO_QUORUM', 'this manager does not lead any more: try again');
  const ending = new Ending(call);
  const batch = new ReplyBatch(response, clock);
  let alive = clock.setTimeout(sendAlive, ALIVE_MS);
  function sendAlive(): void {
    if (!batch.isBehind && response.headersSent) batch.put(writeLogFrame({ type: 'alive' }));
    alive = clock.setTimeout(sendAlive, ALIVE_MS);
  }
  try {
    for await (const item of manager.ownLogs(request, ending.signal)) {
      if (ending.signal.aborted) break;
      if (item.type === 'open') {
        response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
        response.flushHeaders();
      } else await batch.write(writeLogFrame(item), ending.signal);
    }
    batch.put(writeLogFrame({ type: 'end' }));
  } catch (error) {
    if (!response.headersSent) throw error;
    const { code, message } =
      error instanceof ApiError ? error : new ApiError('INTERNAL', (error as Error).message);
    batch.put(writeLogFrame({ type: 'error', code, message }));
  } finally {
    clock.clearTimeout(alive);
    ending.release();
  }
  if (services.closing.aborted) {
    response.destroy();
    return;
  }
  batch.flush();
  response.end();
}

export const logRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/services/{id}/logs', on: 'stream', handle: serviceLogs },
  { method: 'GET', pattern: '/tasks/{id}/logs', on: 'stream', handle: taskLogs },
  { method: 'POST', pattern: LEADER_LOGS_PATH, on: 'node', handle: leaderLogs },
];
