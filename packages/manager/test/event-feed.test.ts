import { momentOf } from '@swarm/http';
import { type Logger, silentLogger } from '@swarm/api';
import test from 'ava';
import { type ClusterEvent, EventFeed, timeMs } from '../src/api/event-feed.js';
import { SetAside } from '../src/set-aside.js';
import { Codec } from '../src/store/command.js';
import { MemoryState } from '../src/store/memory-state.js';
import { networkDraft, nodeDraft, serviceDraft } from './support/objects.js';

/** What a member has in memory, and the events that it keeps. */
function member(logger: Logger = silentLogger): {
  readonly state: MemoryState;
  readonly events: () => readonly ClusterEvent[];
} {
  const state = new MemoryState({ logger, codec: new Codec(), freeze: true });
  const feed = new EventFeed(new SetAside(logger), state);
  return { state, events: () => feed.since(0) };
}

test('an event of the very millisecond that a request names is neither before nor after it', (t) => {
  const first = Date.UTC(2026, 10, 30, 12);
  for (let ms = first; ms < first + 2_000; ms += 1) {
    const moment = momentOf(new URLSearchParams({ until: String(ms / 1000) }), 'until');
    if (timeMs({ timeNano: ms * 1e6 }) !== moment) t.fail(`${ms}`);
  }
  t.pass();
});

test('members that apply the same log at different times have the same events', (t) => {
  const [early, late] = [member(), member()];
  const codec = new Codec();
  const atMs = Date.UTC(2026, 10, 30);
  const create = (kind: 'node' | 'service' | 'network', body: object) =>
    ({ action: 'create', kind, body }) as never;
  const log = [
    {
      timeMs: atMs,
      changes: [create('node', nodeDraft('n1')), create('service', serviceDraft('s1'))],
    },
    { timeMs: atMs + 1, changes: [create('network', networkDraft('net1'))] },
    {
      timeMs: atMs + 5000,
      changes: [{ action: 'remove', kind: 'service', id: 's1', expected: 1 } as never],
    },
  ].map((command) => codec.encodeCommand(command));
  for (const [at, data] of log.entries()) early.state.apply(at + 1, data);
  for (const [at, data] of log.entries()) late.state.apply(at + 1, data);
  t.deepEqual(
    early.events().map((event) => `${event.Action} ${event.Type} ${timeMs(event) - atMs}`),
    ['create node 0', 'create service 0', 'create network 1', 'remove service 5000'],
  );
  t.deepEqual(late.events(), early.events());
});
