import test from 'ava';
import { NOTE_KEPT_MS } from '../../src/dispatcher/limits.js';
import { nodeDraft, put } from '../support/objects.js';
import { DispatcherWorld } from './harness.js';

const WHY = 'it is refused because its certificate is not valid now';

const DOWN = { State: 'down', Message: 'heartbeat failure', Addr: '198.18.0.7' } as const;

test('the status of a node says why it was refused, for a minute after its last try', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1', { Status: DOWN }));
  world.dispatcher.start();
  const message = () => world.store.get('node', 'n1')?.Status.Message;
  world.dispatcher.refused('n1', WHY);
  await world.until(() => message() === `heartbeat failure; ${WHY}`, 'the reason');
  await world.clock.advance(NOTE_KEPT_MS - 1);
  world.dispatcher.refused('n1', WHY);
  await world.clock.advance(NOTE_KEPT_MS - 1);
  t.is(message(), `heartbeat failure; ${WHY}`);
  await world.clock.advance(1);
  t.is(message(), 'heartbeat failure');
  t.is(world.state('n1'), 'down');
});

test('a new leader replaces the reason that the one before it wrote', async (t) => {
  const world = await DispatcherWorld.create(t);
  const Message = `${DOWN.Message}; it is refused for another reason`;
  await put(world.store, 'node', nodeDraft('n1', { Status: { ...DOWN, Message } }));
  world.dispatcher.start();
  world.dispatcher.refused('n1', WHY);
  const message = () => world.store.get('node', 'n1')?.Status.Message;
  await world.until(() => message() === `heartbeat failure; ${WHY}`, 'the reason');
  t.pass();
});
