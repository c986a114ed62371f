import test from 'ava';
import { serviceBody, start } from './support/fake-node.js';

const api = await start();
test.after.always(() => api.close());

function create(name: string, key: string, patch: object = {}) {
  return api.call('POST', '/services/create', {
    json: serviceBody(name, patch),
    headers: { 'Idempotency-Key': key },
  });
}

const count = () => [...api.node.store.list('service')].length;

test.serial('the same request with the same key answers what the first one made', async (t) => {
  const first = await create('once', '"a key, in quotes"');
  t.is(first.status, 201);
  const before = count();
  const again = await create('once', '"a key, in quotes"');
  t.is(again.status, 201);
  t.deepEqual(again.json, first.json);
  t.is(count(), before);
  const other = await create('once', 'another');
  t.is(other.status, 409);
});

test.serial('with quotes or without, a key is the same', async (t) => {
  const first = await create('quotes', '8e03978e-40d5-43dd-bc93-6894a57f9324');
  const again = await create('quotes', '"8e03978e-40d5-43dd-bc93-6894a57f9324"');
  t.deepEqual(again.json, first.json);
});

test.serial('the same key with another body is refused', async (t) => {
  await create('body', 'body');
  for (const reply of [
    await create('body', 'body', { Labels: { a: 'b' } }),
    await create('other-name', 'body'),
  ]) {
    t.is(reply.status, 422);
    t.is(reply.headers['x-swarm-error-code'], 'IDEMPOTENCY_KEY_REUSED');
    t.regex(reply.message, /use a new key for each new object/);
  }
  t.is(api.node.store.byName('service', 'other-name'), undefined);
});

test.serial('a service without a name is made once as well', async (t) => {
  const first = await create('', 'nameless');
  t.is(first.status, 201);
  const before = count();
  t.deepEqual((await create('', 'nameless')).json, first.json);
  t.is(count(), before);
  t.not((await create('', 'nameless 2'.replace(' ', '-'))).json.ID, first.json.ID);
});

test.serial('a change of the service keeps the key, its removal forgets it', async (t) => {
  const { ID } = (await create('life', 'life')).json;
  const { Version } = (await api.call('GET', `/services/${ID}`)).json;
  const update = await api.call('POST', `/services/${ID}/update?version=${Version.Index}`, {
    json: serviceBody('life', { Labels: { now: 'this' } }),
  });
  t.is(update.status, 200);
  t.is((await create('life', 'life')).json.ID, ID);
  await api.call('DELETE', `/services/${ID}`);
  await api.node.store.transact((transaction) => transaction.remove('service', ID));
  const next = await create('life', 'life');
  t.is(next.status, 201);
  t.not(next.json.ID, ID);
});

test.serial('attempts that run at once make one service', async (t) => {
  const patch = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8123 }] } };
  const replies = await Promise.all([1, 2, 3].map(() => create('at-once', 'at-once', patch)));
  t.deepEqual(
    replies.map(({ status }) => status),
    [201, 201, 201],
  );
  t.is(new Set(replies.map(({ json }) => json.ID)).size, 1);
});

test.serial('what is no key is refused', async (t) => {
  for (const key of ['', '""', 'two words', '"open', 'a, b', 'ü', 'x'.repeat(129), '"bad \\n"']) {
    const reply = await create('bad', key);
    t.is(reply.status, 400, key);
    t.regex(reply.message, /^Idempotency-Key must be 1 to 128 characters/);
  }
  t.is((await create('good', 'x'.repeat(128))).status, 201);
});

test.serial('no answer shows a key', async (t) => {
  await create('secretive', 'never-shown');
  for (const path of [
    '/services',
    '/services/secretive',
    '/services/secretive?insertDefaults=1',
    '/tasks',
    '/x/services/secretive/history',
    '/events?since=1&until=2',
  ]) {
    const { status, text } = await api.call('GET', path);
    t.is(status, 200, path);
    t.false(/never-shown|Creation"/.test(text), path);
  }
});
