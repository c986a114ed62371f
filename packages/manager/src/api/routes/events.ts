import type { IncomingMessage } from 'node:http';
import { Filters } from '@swarm/api';
import { momentOf } from '@swarm/http';
import type { ClusterEvent } from '../event-feed.js';
import type { Call, Route } from '../router.js';

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
/** Longest line read from the engine, characters. */
const ENGINE_LINE_LIMIT = 1024 * 1024;

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

/** `GET /events`: the cluster's events, together with those of the node's engine. */
async function events(call: Call): Promise<void> {
  const { response, target, services } = call;
  const { clock, limits, closing, engine, feed } = services;
  const filters = Filters.parse(target.query.get('filters'), KEYS);
  const matches = matcher(filters);
  const since = momentOf(target.query, 'since');
  const until = momentOf(target.query, 'until');
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.flushHeaders();
  const ended = new AbortController();
  const end = (): void => ended.abort();
  response.once('close', end);
  closing.addEventListener('abort', end, { once: true });
  const put = (text: string): void => {
    if (ended.signal.aborted) return;
    response.write(text);
    // Cuts off a client that does not read: its queue would grow without end.
    if (response.writableLength > limits.eventsQueued * 1024) response.destroy();
  };
  const send = (event: ClusterEvent): void => {
    if (!matches(event)) return;
    if (until !== undefined && event.timeNano / 1e6 > until) return;
    put(`${JSON.stringify(event)}\n`);
  };
  if (since !== undefined) for (const event of feed.since(since)) send(event);
  const stop = feed.listen(send);
  const timer =
    until === undefined
      ? undefined
      : clock.setTimeout(end, Math.min(Math.max(0, until - clock.now()), 2 ** 31 - 1));
  const onlySwarm = filters.has('scope') && !filters.values('scope').includes('local');
  if (engine !== undefined && call.caller.principal.kind === 'local' && !onlySwarm) {
    const query = target.query.toString();
    const path = `/events${query === '' ? '' : `?${query}`}`;
    const source = await engine.stream(path, ended.signal);
    if (source !== undefined) copyLines(source, put);
  }
  await new Promise<void>((resolve) => {
    if (ended.signal.aborted) resolve();
    else ended.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  stop();
  clock.clearTimeout(timer);
  closing.removeEventListener('abort', end);
  response.end();
}
export const eventRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/events', on: 'node', handle: events },
];

/** Copies whole lines only, so that events of the cluster never land inside one. */
function copyLines(source: IncomingMessage, write: (text: string) => void): void {
  let rest = '';
  source.setEncoding('utf8');
  source.on('error', () => {});
  source.on('data', (chunk: string) => {
    rest += chunk;
    const end = rest.lastIndexOf('\n');
    if (end !== -1) {
      write(rest.slice(0, end + 1));
      rest = rest.slice(end + 1);
    } else if (rest.length > ENGINE_LINE_LIMIT) source.destroy();
  });
}
