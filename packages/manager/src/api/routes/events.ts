import { ApiError, Filters, pause, type Timer } from '@swarm/api';
import { type Engine, momentOf } from '@swarm/http';
import { type ClusterEvent, timeMs } from '../event-feed.js';
import type { ManagerAccess } from '../manager-access.js';
import type { Call, Route } from '../router.js';
import { EngineEventSource } from './engine-events.js';

/** Docker's filter keys. Those of containers and images match no event of the cluster. */
const KEYS = [
  'config',
  'container',
  'daemon',
  'event',
  'image',
  'label',
  'network',
  'node',
  'plugin',
  'scope',
  'secret',
  'service',
  'type',
  'volume',
];
const OBJECT_KINDS = ['node', 'service', 'network', 'secret', 'config'] as const;
/** How long the engine may take after `until` to end its stream, so that its last events arrive. */
const LAST_EVENTS_MS = 500;
const TIMER_LIMIT_MS = 2 ** 31 - 1;

function matcher(filters: Filters): (event: ClusterEvent) => boolean {
  const foreign = ['container', 'image', 'volume', 'plugin', 'daemon', 'label'].some((key) =>
    filters.has(key),
  );
  const objects = OBJECT_KINDS.filter((kind) => filters.has(kind));
  return (event) =>
    !foreign &&
    filters.exact('scope', event.scope) &&
    filters.exact('type', event.Type) &&
    filters.exact('event', event.Action) &&
    objects.every(
      (kind) =>
        event.Type === kind && filters.exact(kind, event.Actor.ID, event.Actor.Attributes.name),
    );
}

/** The engine whose events the caller gets as well; undefined when it only gets the cluster's. */
function engineFor(call: Call, filters: Filters): Engine | undefined {
  const onlySwarm = filters.has('scope') && !filters.values('scope').includes('local');
  return call.caller.principal.kind === 'local' && !onlySwarm ? call.services.engine : undefined;
}

/** @throws ApiError BAD_REQUEST in Docker's words */
function checkOrder(query: URLSearchParams, since: number, until: number): void {
  if (since <= until) return;
  throw new ApiError(
    'BAD_REQUEST',
    `\`since\` time (${query.get('since')}) cannot be after \`until\` time (${query.get('until')})`,
  );
}

/**
 * `GET /events`: the cluster's events, together with those of the node's engine. With `since` or `until`, first
 * what happened before, in order of time; the answer ends when `until` has passed.
 */
async function events(call: Call, { events: feed }: ManagerAccess): Promise<void> {
  const { response, target, services } = call;
  const { clock, limits, closing } = services;
  const filters = Filters.parse(target.query.get('filters'), KEYS);
  const matches = matcher(filters);
  const since = momentOf(target.query, 'since');
  const until = momentOf(target.query, 'until');
  checkOrder(target.query, since ?? Number.NEGATIVE_INFINITY, until ?? Number.POSITIVE_INFINITY);
  const beganMs = clock.now();
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.flushHeaders();
  const ended = new AbortController();
  const end = (): void => ended.abort();
  response.once('close', end);
  closing.addEventListener('abort', end, { once: true });
  const put = (line: string): void => {
    if (ended.signal.aborted) return;
    response.write(`${line}\n`);
    // Cuts off a client that does not read: its queue would grow without end.
    if (response.writableLength > limits.eventsQueued * 1024) response.destroy();
  };
  const isWanted = (event: ClusterEvent): boolean =>
    matches(event) && (until === undefined || timeMs(event) <= until);
  const engine = engineFor(call, filters);
  const source = engine && (await EngineEventSource.open(engine, target.query, clock));
  let stop = (): void => {};
  let timer: Timer;
  try {
    const hasPast = since !== undefined || until !== undefined;
    const past = hasPast ? ((await source?.past(beganMs, until, ended.signal)) ?? []) : [];
    // From here to `listen` nothing waits, so that no event of the cluster is missed or comes twice.
    const own = feed.since(hasPast ? (since ?? 0) : beganMs).filter(isWanted);
    const lines = own.map((event) => ({
      timeNano: event.timeNano,
      line: JSON.stringify(event),
    }));
    for (const { line } of [...past, ...lines].sort((a, b) => a.timeNano - b.timeNano)) put(line);
    if (until !== undefined && until <= beganMs) return;
    stop = feed.listen((event) => {
      if (isWanted(event)) put(JSON.stringify(event));
    });
    const following = source?.follow(hasPast ? beganMs : undefined, put, ended.signal);
    const over = new Promise<void>((resolve) => {
      if (until === undefined) return;
      timer = clock.setTimeout(resolve, Math.min(Math.max(0, until - clock.now()), TIMER_LIMIT_MS));
    });
    await Promise.race([over, aborted(ended.signal)]);
    // The engine ends its stream by itself, after its last event.
    if (following !== undefined && !ended.signal.aborted) {
      await Promise.race([following, pause(clock, LAST_EVENTS_MS)]);
    }
  } finally {
    stop();
    clock.clearTimeout(timer);
    closing.removeEventListener('abort', end);
    ended.abort();
    response.end();
  }
}
export const eventRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/events', on: 'node', handle: events },
];

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
