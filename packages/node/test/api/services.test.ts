import test from 'ava';
import { patch, put, taskDraft } from '@swarm/manager/testing';
import { serviceBody, start } from './support/fake-node.js';

const api = await start();
test.after.always(() => api.close());

async function create(name: string, change: object = {}): Promise<string> {
  const reply = await api.call('POST', '/v1.50/services/create', {
    json: serviceBody(name, change),
  });
  if (reply.status !== 201) throw new Error(reply.text);
  return reply.json.ID;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into it freely
async function inspect(id: string, query = ''): Promise<any> {
  return (await api.call('GET', `/v1.50/services/${id}${query}`)).json;
}

test('a created service has an id of 25 characters and Docker’s shape', async (t) => {
  const id = await create('shape');
  t.regex(id, /^[0-9a-z]{25}$/);
  const service = await inspect('shape');
  t.like(service, {
    ID: id,
    Spec: {
      Name: 'shape',
      Labels: {},
      TaskTemplate: {
        ContainerSpec: { Image: 'nginx:1', DNSConfig: {}, Isolation: 'default' },
        Resources: { Limits: {}, Reservations: {} },
        Placement: {},
        ForceUpdate: 0,
        Runtime: 'container',
      },
      Mode: { Replicated: { Replicas: 1 } },
      EndpointSpec: { Mode: 'vip' },
    },
    Endpoint: { Spec: { Mode: 'vip' } },
  });
  t.is(typeof service.Version.Index, 'number');
  t.regex(service.CreatedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
  t.deepEqual(Object.keys(service.Spec.TaskTemplate).sort(), [
    'ContainerSpec',
    'ForceUpdate',
    'Placement',
    'Resources',
    'Runtime',
  ]);
});

test('defaults are shown only when asked for', async (t) => {
  await create('defaults', { UpdateConfig: { Delay: 1 } });
  const stored = await inspect('defaults', '?insertDefaults=false');
  t.is(stored.Spec.TaskTemplate.RestartPolicy, undefined);
  t.is(stored.Spec.UpdateConfig.Parallelism, 1);
  const shown = await inspect('defaults', '?insertDefaults=true');
  t.deepEqual(shown.Spec.TaskTemplate.RestartPolicy, {
    Condition: 'any',
    Delay: 5e9,
    MaxAttempts: 0,
    Window: 0,
  });
  t.is(shown.Spec.TaskTemplate.ContainerSpec.StopGracePeriod, 10e9);
  t.is(shown.Spec.RollbackConfig.Monitor, 5e9);
});

test('registry credentials are stored and never shown', async (t) => {
  const reply = await api.call('POST', '/services/create', {
    json: serviceBody('auth'),
    headers: { 'X-Registry-Auth': 'c2VjcmV0' },
  });
  const { ID: id } = reply.json;
  t.is(api.node.store.get('service', id)?.Spec.TaskTemplate.RegistryAuth, 'c2VjcmV0');
  const version = (await inspect(id)).Version.Index;
  await api.call('POST', `/services/${id}/update?version=${version}&registryAuthFrom=spec`, {
    json: serviceBody('auth', { Labels: { a: 'b' } }),
  });
  const stored = api.node.store.get('service', id)!;
  t.is(stored.Spec.TaskTemplate.RegistryAuth, 'c2VjcmV0');
  const [first] = [...api.node.store.revisionsByService(id)];
  t.is(first?.Spec.TaskTemplate.RegistryAuth, 'c2VjcmV0');
  await put(
    api.node.store,
    'task',
    taskDraft('task-auth', { ServiceID: id, Spec: stored.Spec.TaskTemplate }),
  );
  const history = `/x/services/${id}/history`;
  for (const path of [`/services/${id}`, '/services', '/tasks', '/tasks/task-auth', history]) {
    const shown = await api.call('GET', path);
    t.is(shown.status, 200);
    t.false(shown.text.includes('c2VjcmV0'), path);
  }
});

const withImage = (image: string, replicas = 1): object => ({
  Mode: { Replicated: { Replicas: replicas } },
  TaskTemplate: { ContainerSpec: { Image: image } },
});

/** Updates the service with its present version. */
async function change(id: string, name: string, spec: object, query = '') {
  const { Index } = (await inspect(id)).Version;
  return await api.call('POST', `/services/${id}/update?version=${Index}${query}`, {
    json: serviceBody(name, spec),
  });
}

test('the previous spec is what a rollback goes to, with the number of replicas as it is now', async (t) => {
  const id = await create('change', withImage('web:1'));
  t.is((await inspect(id)).PreviousSpec, undefined);
  const update = await change(id, 'change', withImage('web:2'));
  t.is(update.status, 200);
  t.deepEqual(update.json, { Warnings: null });
  await change(id, 'change', withImage('web:2', 3));
  const changed = await inspect(id);
  t.is(changed.Spec.Mode.Replicated.Replicas, 3);
  t.is(changed.PreviousSpec.TaskTemplate.ContainerSpec.Image, 'web:1');
  t.is(changed.PreviousSpec.Mode.Replicated.Replicas, 3);
  const listed = (await api.call('GET', '/services')).json;
  t.deepEqual(
    listed.find(({ ID }: { ID: string }) => ID === id).PreviousSpec,
    changed.PreviousSpec,
  );
  // As the stock client asks for it.
  t.is((await change(id, 'change', {}, '&rollback=previous')).status, 200);
  const back = await inspect(id);
  t.deepEqual(back.Spec, changed.PreviousSpec);
  t.is(back.UpdateStatus.State, 'rollback_started');
  t.is(back.UpdateStatus.Message, 'manually requested rollback');
});

test('the history shows what became of each revision, and a rollback goes to any of them', async (t) => {
  const id = await create('history', withImage('web:1'));
  for (const image of ['web:2', 'web:3']) await change(id, 'history', withImage(image));
  const before = (await api.call('GET', '/x/services/history/history')).json;
  t.like(before, [
    { Number: 3, IsCurrent: true, State: 'in progress', Cause: 'update' },
    { Number: 2, IsRollbackTarget: true, State: 'replaced', Cause: 'update' },
    { Number: 1, IsRollbackTarget: false, State: 'replaced', Cause: 'create' },
  ]);
  t.is(before[2].Spec.TaskTemplate.ContainerSpec.Image, 'web:1');
  const at = async (): Promise<string> => `version=${(await inspect(id)).Version.Index}`;
  const to = async (query: string) => await api.call('POST', `/x/services/${id}/rollback?${query}`);
  t.is((await to(`${await at()}&to=1`)).status, 200);
  t.is((await inspect(id)).Spec.TaskTemplate.ContainerSpec.Image, 'web:1');
  t.is((await to(`${await at()}&to=1`)).headers['x-swarm-error-code'], 'FAILED_PRECONDITION');
  const unknown = await to(`${await at()}&to=9`);
  t.is(unknown.status, 404);
  t.is(unknown.message, 'service history has no revision 9: it keeps 3, 2, 1');
  t.is((await to(`${await at()}&to=x`)).status, 400);
  t.is((await to('to=2')).status, 400, 'the version is missing');
  t.is((await to('version=1&to=2')).headers['x-swarm-error-code'], 'OUT_OF_SEQUENCE');
  t.is((await to(await at())).status, 200);
  const after = (await api.call('GET', `/x/services/${id}/history`)).json;
  t.is(after.filter(({ IsCurrent }: { IsCurrent: boolean }) => IsCurrent).length, 1);
  t.is((await api.call('GET', '/x/services/nobody/history')).status, 404);
});

test('what is paused is resumed when somebody says so, and only then', async (t) => {
  const id = await create('resumed', withImage('web:1'));
  await change(id, 'resumed', withImage('web:2'));
  const UpdateStatus = { State: 'paused', Message: 'update paused due to failure' } as const;
  await patch(api.node.store, 'service', id, (service) => ({ ...service, UpdateStatus }));
  await change(id, 'resumed', withImage('web:2', 4));
  t.like((await inspect(id)).UpdateStatus, UpdateStatus);
  t.is((await inspect(id)).Spec.Mode.Replicated.Replicas, 4);
  const resume = async () =>
    await api.call('POST', `/x/services/${id}/resume?version=${(await inspect(id)).Version.Index}`);
  t.is((await resume()).status, 200);
  t.is((await inspect(id)).UpdateStatus.State, 'updating');
  const again = await resume();
  t.is(again.status, 400);
  t.is(again.message, 'no update of service resumed is paused: there is nothing to resume');
});

test('revisions are made without an event of their own', async (t) => {
  const id = await create('silent', withImage('web:1'));
  await change(id, 'silent', withImage('web:2'));
  const until = (Date.now() / 1000 + 0.2).toFixed(3);
  const kinds = (await api.call('GET', `/events?since=1&until=${until}`)).text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).Type);
  t.deepEqual([...new Set(kinds)].sort(), ['node', 'service']);
  t.is([...api.node.store.revisionsByService(id)].length, 2);
});

test('a rename, a change of mode and a rollback without a past are refused', async (t) => {
  const id = await create('fixed');
  const path = `/services/${id}/update?version=${(await inspect(id)).Version.Index}`;
  const rename = await api.call('POST', path, { json: serviceBody('other') });
  t.is(rename.status, 501);
  t.regex(rename.message, /^renaming services is not supported/);
  const mode = await api.call('POST', path, {
    json: serviceBody('fixed', { Mode: { Global: {} } }),
  });
  t.is(mode.status, 501);
  t.regex(mode.message, /^service mode change is not allowed/);
  const back = await api.call('POST', `${path}&rollback=previous`, { json: serviceBody('fixed') });
  t.is(back.status, 400);
  t.is(back.headers['x-swarm-error-code'], 'FAILED_PRECONDITION');
});

test('a service may keep its own port in an update, and may not take another’s', async (t) => {
  const port = (published: number): object => ({
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: published }] },
  });
  const id = await create('keeps', port(8101));
  await create('owns', port(8102));
  let version = (await inspect(id)).Version.Index;
  const same = await api.call('POST', `/services/${id}/update?version=${version}`, {
    json: serviceBody('keeps', port(8101)),
  });
  t.is(same.status, 200);
  version = (await inspect(id)).Version.Index;
  const other = await api.call('POST', `/services/${id}/update?version=${version}`, {
    json: serviceBody('keeps', port(8102)),
  });
  t.is(other.status, 409);
  t.regex(other.message, /already in use by service 'owns'/);
});

test('a removed service is hidden, but its id finds it until its tasks are gone', async (t) => {
  const id = await create('leaving');
  t.is((await api.call('DELETE', '/services/leaving')).status, 200);
  t.true(api.node.store.get('service', id)?.PendingDelete);
  t.is((await api.call('GET', '/services/leaving')).status, 404);
  t.false((await api.call('GET', '/services')).text.includes(id));
  t.is((await inspect(id)).PendingDelete, true);
  t.is((await api.call('DELETE', `/services/${id}`)).status, 200);
});

test('creating a service waits for the removal of one with its name', async (t) => {
  const id = await create('again');
  await api.call('DELETE', '/services/again');
  const waiting = api.call('POST', '/services/create', { json: serviceBody('again') });
  // What the orchestrator does when the last task has stopped.
  await api.call('GET', '/services');
  await api.node.store.transact((transaction) => transaction.remove('service', id));
  const reply = await waiting;
  t.is(reply.status, 201);
  t.not(reply.json.ID, id);
});

test('creating gives up when the removal takes too long, and says why', async (t) => {
  const hasty = await start({ limits: { removalMs: 50 } });
  t.teardown(() => hasty.close());
  await hasty.call('POST', '/services/create', { json: serviceBody('stuck') });
  await hasty.call('DELETE', '/services/stuck');
  const reply = await hasty.call('POST', '/services/create', { json: serviceBody('stuck') });
  t.is(reply.status, 409);
  t.regex(reply.message, /being removed/);
});

const publishes = (port: number): object => ({
  EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: port }] },
});

test('of concurrent creates that publish the same port, one succeeds', async (t) => {
  const replies = await Promise.all(
    ['1', '2', '3'].map((name) =>
      api.call('POST', '/services/create', { json: serviceBody(`rival${name}`, publishes(8110)) }),
    ),
  );
  t.deepEqual(replies.map((reply) => reply.status).sort(), [201, 409, 409]);
  const refused = replies.find((reply) => reply.status === 409);
  t.regex(refused?.message ?? '', /port '8110' is already in use by service 'rival\d'/);
});

test('a concurrent create and update do not both get the port', async (t) => {
  const id = await create('updated');
  const version = (await inspect(id)).Version.Index;
  const replies = await Promise.all([
    api.call('POST', `/services/${id}/update?version=${version}`, {
      json: serviceBody('updated', publishes(8111)),
    }),
    api.call('POST', '/services/create', { json: serviceBody('created', publishes(8111)) }),
  ]);
  t.is(replies.filter((reply) => reply.status === 409).length, 1);
});

test('creating waits for the port of a service during its removal', async (t) => {
  const id = await create('frees', publishes(8112));
  await api.call('DELETE', '/services/frees');
  const waiting = api.call('POST', '/services/create', {
    json: serviceBody('takes', publishes(8112)),
  });
  await api.call('GET', '/services');
  await api.node.store.transact((transaction) => transaction.remove('service', id));
  t.is((await waiting).status, 201);
});

test('an update waits for the port that another service’s update gives up', async (t) => {
  const id = await create('drops', publishes(8113));
  await patch(api.node.store, 'service', id, (service) => ({
    ...service,
    Spec: { ...service.Spec, EndpointSpec: {} },
    Endpoint: { Spec: {}, Ports: service.Spec.EndpointSpec?.Ports ?? [] },
  }));
  const other = await create('picks-up');
  const version = (await inspect(other)).Version.Index;
  const waiting = api.call('POST', `/services/${other}/update?version=${version}`, {
    json: serviceBody('picks-up', publishes(8113)),
  });
  await api.call('GET', '/services');
  // What the allocator does.
  await patch(api.node.store, 'service', id, (service) => ({ ...service, Endpoint: { Spec: {} } }));
  t.is((await waiting).status, 200);
});

test('status counts tasks that run and that should', async (t) => {
  const id = await create('counted', { Mode: { Replicated: { Replicas: 2 } } });
  const status = { Timestamp: '2026-01-01T00:00:00Z', Message: '' };
  for (const [task, state, desired] of [
    ['count-1', 'running', 'running'],
    ['count-2', 'starting', 'running'],
    ['count-3', 'running', 'shutdown'],
  ] as const) {
    await put(
      api.node.store,
      'task',
      taskDraft(task, {
        ServiceID: id,
        Status: { ...status, State: state },
        DesiredState: desired,
      }),
    );
  }
  const filters = encodeURIComponent('{"name":{"counted":true}}');
  const [service] = (await api.call('GET', `/v1.41/services?status=true&filters=${filters}`)).json;
  t.deepEqual(service.ServiceStatus, { RunningTasks: 1, DesiredTasks: 2, CompletedTasks: 0 });
  const [old] = (await api.call('GET', `/v1.40/services?status=true&filters=${filters}`)).json;
  t.is(old.ServiceStatus, undefined);
});

test('lists are filtered by label and by the start of a name', async (t) => {
  await create('filter-a', { Labels: { 'com.docker.stack.namespace': 'st' } });
  await create('filter-b');
  const names = async (filters: object): Promise<string[]> => {
    const query = encodeURIComponent(JSON.stringify(filters));
    const reply = await api.call('GET', `/services?filters=${query}`);
    return reply.json.map((service: { Spec: { Name: string } }) => service.Spec.Name).sort();
  };
  t.deepEqual(await names({ name: { filter: true } }), ['filter-a', 'filter-b']);
  t.deepEqual(await names({ name: ['filter-b'] }), ['filter-b']);
  t.deepEqual(await names({ label: { 'com.docker.stack.namespace=st': true } }), ['filter-a']);
  t.deepEqual(await names({ label: ['com.docker.stack.namespace=other'] }), []);
});

test('tasks are found by the name of their service, and whether they are up to date', async (t) => {
  const id = await create('dirty');
  const service = api.node.store.get('service', id)!;
  const draft = { ServiceID: id, Spec: service.Spec.TaskTemplate };
  await put(
    api.node.store,
    'task',
    taskDraft('dirty-1', { ...draft, SpecVersion: service.SpecVersion }),
  );
  await put(
    api.node.store,
    'task',
    taskDraft('dirty-2', {
      ...draft,
      Spec: { ...draft.Spec, ForceUpdate: 7 },
      SpecVersion: { Index: 999 },
    }),
  );
  const ids = async (filters: object): Promise<string[]> => {
    const query = encodeURIComponent(JSON.stringify(filters));
    const reply = await api.call('GET', `/tasks?filters=${query}`);
    return reply.json.map((task: { ID: string }) => task.ID).sort();
  };
  t.deepEqual(await ids({ service: { dirty: true } }), ['dirty-1', 'dirty-2']);
  t.deepEqual(await ids({ service: ['dirty'], '_up-to-date': { true: true } }), ['dirty-1']);
  const missing = encodeURIComponent('{"service":["ghost"]}');
  t.is((await api.call('GET', `/tasks?filters=${missing}`)).status, 404);
});

test('a task that waits for a restart says for how long, until the time is over', async (t) => {
  const id = await create('crashes');
  const draft = (name: string, leftMs: number) =>
    taskDraft(name, {
      ServiceID: id,
      ServiceName: 'crashes',
      Spec: { ForceUpdate: 0, RestartPolicy: { MaxAttempts: 5 } },
      DesiredState: 'ready',
      Status: { Timestamp: new Date().toISOString(), State: 'ready', Message: 'ready to start' },
      Restart: {
        Attempts: 3,
        Failures: 3,
        NotBefore: new Date(Date.now() + leftMs).toISOString(),
      },
    });
  await put(api.node.store, 'task', draft('waits', 60_000));
  await put(api.node.store, 'task', draft('due', -1000));
  const waits = (await api.call('GET', '/tasks/waits')).json.Status;
  // Where clients look for the cause.
  t.regex(waits.Err, /^waiting (60|59)s before restart 3 of 5 \(3 failures in a row\)$/);
  t.is((await api.call('GET', '/tasks/due')).json.Status.Message, 'ready to start');
  t.is(api.node.store.get('task', 'waits')?.Status.Err, undefined);
});

test('what is not served yet is refused by name, never dropped silently', async (t) => {
  const template = { ContainerSpec: { Image: 'nginx' } };
  for (const [change, expected] of [
    [
      { TaskTemplate: { ContainerSpec: { Image: 'x', Secrets: [{ SecretID: 'a' }] } } },
      /Secrets: /,
    ],
    [
      { TaskTemplate: { ContainerSpec: { Image: 'x', Configs: [{ ConfigID: 'a' }] } } },
      /Configs: /,
    ],
    [
      { TaskTemplate: { ...template, Networks: [{ Target: 'front', DriverOpts: { a: 'b' } }] } },
      /network "front": DriverOpts\["a"\] is not served/,
    ],
    [{ TaskTemplate: { ...template, Runtime: 'plugin' } }, /Runtime/],
    [
      {
        TaskTemplate: { ...template, Resources: { Reservations: { GenericResources: [{}, {}] } } },
      },
      /GenericResources: /,
    ],
  ] as const) {
    const reply = await api.call('POST', '/services/create', { json: serviceBody('no', change) });
    t.is(reply.status, 501, JSON.stringify(change));
    t.regex(reply.message, expected);
  }
  const unknown = await api.call('POST', '/services/create', {
    json: serviceBody('no', { Shiny: true }),
  });
  t.is(unknown.status, 400);
  t.regex(unknown.message, /^Shiny: no such field/);
  for (const path of ['/secrets/create', '/configs/create']) {
    const reply = await api.call('POST', path, { json: { Name: 'x' } });
    t.is(reply.status, 501, path);
  }
  for (const path of ['/secrets', '/configs', '/networks']) {
    t.deepEqual((await api.call('GET', path)).json, [], path);
  }
});

test('the networks of every host are there for services, by name', async (t) => {
  for (const [name, driver] of [
    ['host', 'host'],
    ['none', 'null'],
    ['bridge', 'bridge'],
  ] as const) {
    const { json } = await api.call('GET', `/v1.50/networks/${name}?scope=swarm`);
    t.like(json, { Id: name, Name: name, Driver: driver, Scope: 'swarm' });
    const TaskTemplate = { ContainerSpec: { Image: 'x' }, Networks: [{ Target: json.Id }] };
    const made = await api.call('POST', '/services/create', {
      json: serviceBody(`in-${name}`, { TaskTemplate }),
    });
    t.is(made.status, 201, made.message);
    const removed = await api.call('DELETE', `/networks/${name}`);
    t.is(removed.status, 403);
    t.is(removed.message, `${name} is a pre-defined network and cannot be removed`);
  }
});

test('the answer to an unconfirmed change says that it may still happen', async (t) => {
  const slow = await start({ limits: { writeMs: 50 } });
  t.teardown(() => slow.close());
  slow.node.store.pause();
  const reply = await slow.call('POST', '/services/create', { json: serviceBody('slow') });
  slow.node.store.resume();
  t.is(reply.status, 503);
  t.is(reply.headers['x-swarm-error-code'], 'TIMEOUT');
  t.regex(reply.message, /may still happen/);
});

test('two updates from one version: one succeeds, one is out of sequence', async (t) => {
  const id = await create('race');
  const version = (await inspect(id)).Version.Index;
  const replies = await Promise.all(
    ['1', '2'].map((value) =>
      api.call('POST', `/services/${id}/update?version=${version}`, {
        json: serviceBody('race', { Labels: { value } }),
      }),
    ),
  );
  t.deepEqual(replies.map((reply) => reply.status).sort(), [200, 500]);
});

test('a removal succeeds despite a concurrent change of the service', async (t) => {
  const id = await create('contended');
  api.node.store.pause();
  const change = patch(api.node.store, 'service', id, (service) => ({
    ...service,
    Spec: { ...service.Spec, Labels: { touched: 'yes' } },
  }));
  const removal = api.call('DELETE', `/services/${id}`);
  await api.call('GET', '/_ping');
  api.node.store.resume();
  await change;
  t.is((await removal).status, 200);
  t.true(api.node.store.get('service', id)?.PendingDelete);
});

test('the cluster’s own ports are refused: create, update and rollback, in both modes', async (t) => {
  const publish = (...Ports: object[]) => ({ EndpointSpec: { Mode: 'vip', Ports } });
  const web = { Protocol: 'tcp', TargetPort: 80, PublishedPort: 2377, PublishMode: 'ingress' };
  const create400 = async (name: string, port: object) => {
    const reply = await api.call('POST', '/services/create', {
      json: serviceBody(name, publish(port)),
    });
    t.is(reply.status, 400, reply.text);
    return reply.json.message as string;
  };
  t.regex(
    await create400('own', web),
    /^port '2377' \(tcp\) belongs to the cluster: .*; publish another port$/,
  );
  t.regex(await create400('own', { ...web, PublishMode: 'host' }), /'2377' \(tcp\)/);
  t.regex(
    await create400('own', { ...web, Protocol: 'udp', PublishedPort: 4789 }),
    /'4789' \(udp\) belongs to the cluster: it is the data path port/,
  );
  const id = await create('own');
  const change = async (query: string, port?: object) =>
    api.call(
      'POST',
      `/services/${id}/update?version=${(await inspect(id)).Version.Index}${query}`,
      {
        json: serviceBody('own', port === undefined ? {} : publish(port)),
      },
    );
  t.is((await change('', web)).status, 400);
  // As an earlier version stored it: other changes are free, the way back is not.
  await patch(api.node.store, 'service', id, (service) => ({
    ...service,
    Spec: { ...service.Spec, EndpointSpec: publish(web).EndpointSpec as never },
  }));
  t.is((await change('', web)).status, 200);
  t.is((await change('')).status, 200);
  const back = await change('&rollback=previous');
  t.is(back.status, 400, back.text);
  t.regex(back.json.message, /'2377' \(tcp\) belongs to the cluster/);
});
