import test from 'ava';
import { KINDS } from '@swarm/manager/testing';
import { fullDraft, STRANGE } from '@swarm/manager/testing';
import { nodeDraft, put, serviceDraft, taskDraft } from '@swarm/manager/testing';
import { start } from './support/fake-node.js';

const LISTS = [
  '/tasks',
  '/nodes',
  '/services',
  '/networks',
  '/secrets',
  '/configs',
  '/info',
  '/swarm',
];

test('a list shows a bad object without its bad parts, or leaves it out', async (t) => {
  const { node, call, close } = await start({ nodeId: 'manager1' });
  t.teardown(close);
  let number = 0;
  for (const kind of KINDS) {
    if (kind === 'cluster') continue;
    const good = fullDraft(kind, 'x') as object as Record<string, unknown>;
    for (const name of Object.keys(good)) {
      if (name === 'ID') continue;
      for (const value of STRANGE) {
        number += 1;
        const ID = `bad-${number}`;
        const Spec = { ...(good.Spec as object), Name: ID };
        await node.store.injectObject(kind, { ...good, Spec, ID, [name]: value });
      }
    }
  }
  await put(node.store, 'node', nodeDraft('good'));
  await put(node.store, 'service', serviceDraft('good'));
  await put(node.store, 'task', taskDraft('good', { ServiceID: 'good' }));
  for (const path of LISTS) {
    const reply = await call('GET', path);
    t.is(reply.status, 200, `${path} ${reply.text.slice(0, 200)}`);
    t.notThrows(() => reply.json);
  }
  for (const path of ['/tasks', '/nodes', '/services']) {
    const { json } = await call('GET', path);
    t.true(
      (json as { ID: string }[]).some(({ ID }) => ID === 'good'),
      path,
    );
  }
});

test('an unreadable service or node is named, and can be removed by its id', async (t) => {
  const { node, call, close } = await start({ nodeId: 'manager1' });
  t.teardown(close);
  const { store } = node;
  await store.injectObject('service', { ...serviceDraft('s1'), Spec: { Name: 'web', Mode: 7 } });
  await store.injectObject('node', { ...nodeDraft('n1'), Role: 'emperor' });
  for (let slot = 1; slot <= 120; slot += 1) {
    await put(store, 'task', taskDraft(`t${slot}`, { ServiceID: 's1', Slot: slot }));
  }
  for (const path of ['/services/s1', '/services/web', '/nodes/n1']) {
    const reply = await call('GET', path);
    t.is(reply.status, 400);
    t.regex(reply.message, /can ?not be read \(.*\): remove it by its id/);
  }
  t.is((await call('DELETE', '/services/web')).status, 200);
  t.is(store.setAside('service', 's1'), undefined);
  t.true([...store.list('task')].every(({ DesiredState }) => DesiredState === 'remove'));
  t.is((await call('DELETE', '/nodes/n1')).status, 400);
  t.is((await call('DELETE', '/nodes/n1?force=1')).status, 200);
  t.is(store.setAside('node', 'n1'), undefined);
  t.truthy(store.get('removed-node', 'n1'), 'its certificate is refused');
});
