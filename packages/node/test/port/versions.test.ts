import { once } from 'node:events';
import { PROGRAM } from '@swarm/api';
import test from 'ava';
import { WebSocket } from 'ws';
import type { NodeIdentity } from '@swarm/identity';
import { nodeDraft, put } from '@swarm/manager/testing';
import { PortWorld } from './world.js';

const { Oldest, Newest } = PROGRAM.Protocol;
const FAR = { 'x-swarm-protocol': `${Newest + 1}-${Newest + 2}` };
let world: PortWorld;
let worker: NodeIdentity;
let manager: NodeIdentity;

test.before(async () => {
  world = await PortWorld.open();
  worker = await world.certificate('worker', 'worker');
  await put(world.manager.store, 'node', nodeDraft('worker'));
  manager = await world.certificate('second', 'manager');
  const node = nodeDraft('second');
  const Spec = { ...node.Spec, Role: 'manager' } as const;
  await put(world.manager.store, 'node', { ...node, Role: 'manager', Spec });
});

test.after.always(() => world?.close());

test.serial('a new cluster begins at the level of the program that makes it', (t) => {
  t.is(world.manager.store.cluster()?.FeatureLevel, PROGRAM.FeatureLevel.Newest);
});

test.serial('a session speaks the highest protocol that both sides have', async (t) => {
  for (const [offered, chosen] of [
    [[Newest + 1, Newest, Oldest], Newest],
    [[Oldest], Oldest],
  ] as const) {
    const names = offered.map((protocol) => `swarm.dispatcher.${protocol}`);
    const socket = await world.upgrade(worker, '/dispatcher', { protocols: names });
    if (!(socket instanceof WebSocket)) return t.fail(socket.message);
    t.is(socket.protocol, `swarm.dispatcher.${chosen}`);
    socket.close();
    await once(socket, 'close');
  }
});

test.serial('a session without a protocol in common is refused with what to upgrade', async (t) => {
  const protocols = [`swarm.dispatcher.${Newest + 2}`, `swarm.dispatcher.${Newest + 1}`];
  const refused = await world.upgrade(worker, '/dispatcher', { protocols });
  if (refused instanceof WebSocket) return t.fail('it was let in');
  t.is(refused.code, 'WRONG_VERSION');
  t.regex(
    refused.message,
    new RegExp(
      `^node worker speaks protocols .*: upgrade the manager at 127.0.0.1:${world.port} first`,
    ),
  );
  t.true(world.said(/refused a request/, { code: 'WRONG_VERSION' }));
  const chat = await world.upgrade(worker, '/dispatcher', { protocols: ['chat'] });
  if (chat instanceof WebSocket) return t.fail('it was let in');
  t.is(chat.code, 'BAD_REQUEST');
});

test.serial('managers too far apart neither connect nor ask each other for anything', async (t) => {
  for (const path of ['/raft', '/raft/snapshot']) {
    const refused = await world.upgrade(manager, path, { headers: FAR });
    if (refused instanceof WebSocket) return t.fail(`${path} let it in`);
    t.is(refused.code, 'WRONG_VERSION', path);
    t.regex(refused.message, /^node second speaks protocols .*: upgrade the manager at/);
  }
  for (const [method, path] of [
    ['GET', '/raft/probe'],
    ['GET', '/raft/members'],
    ['POST', '/raft/members'],
  ] as const) {
    const body = method === 'POST' ? { body: '{}' } : {};
    const answer = await world.request(manager, method, path, { ...body, headers: FAR });
    t.is(answer.code, 'WRONG_VERSION', path);
  }
  const forwarded = { ...FAR, 'x-swarm-forwarded-by': 'second' };
  t.is(
    (await world.request(manager, 'GET', '/services', { headers: forwarded })).code,
    'WRONG_VERSION',
  );
  // A client's request is not one among nodes.
  t.is((await world.request(manager, 'GET', '/services')).status, 200);
  const near = { 'x-swarm-protocol': `${Newest}-${Newest + 1}` };
  t.is((await world.request(manager, 'GET', '/raft/probe', { headers: near })).status, 200);
  const bad = { 'x-swarm-protocol': 'newest' };
  t.is((await world.request(manager, 'GET', '/raft/probe', { headers: bad })).code, 'BAD_REQUEST');
});

test.serial('who joins hears of it at once', async (t) => {
  const answer = await world.request(undefined, 'GET', '/ca/root', { headers: FAR });
  t.is(answer.code, 'WRONG_VERSION');
  t.regex(answer.message, /^the joining node speaks/);
});
