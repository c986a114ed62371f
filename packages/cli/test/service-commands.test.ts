import test from 'ava';
import { command, commandOn, sent } from './support/fake-daemon.js';
import { frame } from './support/frames.js';
import { recorder } from './support/recorder.js';

const WEB = {
  ID: 'svc1aaaaaaaaaaaaaaaaaaaaa',
  Version: { Index: 10 },
  Spec: {
    Name: 'web',
    Labels: {},
    TaskTemplate: { ContainerSpec: { Image: 'nginx:1@sha256:abc' }, ForceUpdate: 0 },
    Mode: { Replicated: { Replicas: 2 } },
    UpdateConfig: { Parallelism: 1, Monitor: 1 },
  },
  Endpoint: {
    Ports: [
      { Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' },
      { Protocol: 'tcp', TargetPort: 81, PublishedPort: 8081, PublishMode: 'host' },
    ],
  },
  ServiceStatus: { RunningTasks: 1, DesiredTasks: 2, CompletedTasks: 0 },
};
const TASK = {
  ID: 'task1aaaaaaaaaaaaaaaaaaaa',
  Name: 'web.1.task1aaaaaaaaaaaaaaaaaaaa',
  ServiceID: WEB.ID,
  ServiceName: 'web',
  Slot: 1,
  NodeID: 'n1',
  CreatedAt: '2026-01-01T00:00:00Z',
  DesiredState: 'running',
  Spec: WEB.Spec.TaskTemplate,
  Status: { State: 'running', Timestamp: '2026-01-01T00:00:00Z' },
};
const NODE = { ID: 'n1', Description: { Hostname: 'h1' }, Status: { State: 'ready' } };
const BY_NAME = { 'GET /services/web': WEB, [`GET /services/${WEB.ID}`]: WEB };
const UPDATE = `/services/${WEB.ID}/update`;
const RUNNING = {
  ...BY_NAME,
  'GET /tasks': [TASK, { ...TASK, ID: 'task2', Slot: 2 }],
  'GET /nodes': [NODE],
  [`POST ${UPDATE}`]: {},
};

test('service create sends the spec, prints the id and warnings, and waits', async (t) => {
  const answers = { ...RUNNING, 'POST /services/create': { ID: WEB.ID, Warnings: ['careful'] } };
  const done = await command(t, answers, 'service', 'create', '--name', 'web', 'host', 'ls');
  t.is(done.code, 0);
  t.deepEqual(sent(done, '/services/create').body.TaskTemplate.ContainerSpec, {
    Image: 'host',
    Args: ['ls'],
  });
  t.true(done.out.startsWith(`${WEB.ID}\noverall progress: 2 out of 2 tasks\n`));
  t.is(done.err, 'careful\n');
});

test('service create --detach does not wait', async (t) => {
  const answers = { 'POST /services/create': { ID: 'x', Warnings: null } };
  const done = await command(t, answers, 'service', 'create', '-d', 'host', 'ls');
  t.deepEqual([done.code, done.out, done.asked.length], [0, 'x\n', 1]);
});

test('service create --host is a host of the container, not the daemon', async (t) => {
  const answers = { 'POST /services/create': { ID: 'x' } };
  const done = await command(t, answers, 'service', 'create', '-d', '--host', 'a:1.2.3.4', 'host');
  t.is(done.code, 0, done.err);
  t.deepEqual(sent(done, '/services/create').body.TaskTemplate.ContainerSpec.Hosts, ['1.2.3.4 a']);
});

test('an image is pinned to the digest and platforms of its registry', async (t) => {
  const answers = {
    'POST /services/create': { ID: 'x' },
    'GET /distribution/nginx:1/json': {
      Descriptor: { digest: 'sha256:abc' },
      Platforms: [
        { architecture: 'amd64', os: 'linux' },
        { architecture: 'arm64', os: 'linux' },
        { architecture: 'unknown', os: 'unknown' },
      ],
    },
  };
  const done = await command(t, answers, 'service', 'create', '-d', 'nginx:1');
  const task = sent(done, '/services/create').body.TaskTemplate;
  t.is(task.ContainerSpec.Image, 'nginx:1@sha256:abc');
  t.deepEqual(task.Placement.Platforms, [
    { Architecture: 'amd64', OS: 'linux' },
    { Architecture: '', OS: 'linux' },
  ]);
});

test('an image that no registry knows stays as it is named, with a warning', async (t) => {
  const answers = { 'POST /services/create': { ID: 'x' } };
  const done = await command(t, answers, 'service', 'create', '-d', 'nginx:1');
  t.is(done.code, 0);
  t.is(sent(done, '/services/create').body.TaskTemplate.ContainerSpec.Image, 'nginx:1');
  t.regex(done.err, /nginx:1 could not be accessed on a registry/);
});

test('--no-resolve-image, a digest and image host ask no registry', async (t) => {
  const answers = { 'POST /services/create': { ID: 'x' } };
  for (const image of [
    ['--no-resolve-image', 'nginx:1'],
    ['nginx@sha256:abc'],
    ['host', 'ls'],
    ['host:latest', 'ls'],
  ]) {
    const done = await command(t, answers, 'service', 'create', '-d', ...image);
    t.deepEqual([done.asked.length, done.err], [1, ''], image.join(' '));
  }
});

test('--with-registry-auth without credentials says where they come from', async (t) => {
  const done = await command(t, {}, 'service', 'create', '-d', '--with-registry-auth', 'nginx');
  t.is(done.code, 1);
  t.regex(done.err, /SWARM_REGISTRY_AUTH/);
});

test("a refusal by the daemon is printed as the daemon's, and is a failure", async (t) => {
  const answers = { 'POST /services/create': { status: 409, message: 'name is taken' } };
  const done = await command(t, answers, 'service', 'create', '-d', 'host', 'ls');
  t.deepEqual(
    [done.code, done.out, done.err],
    [1, '', 'Error response from daemon: name is taken\n'],
  );
});

test('service ls lists names in order, with replicas, image and published ports', async (t) => {
  const job = (mode: object, rest: object) => ({
    ...WEB,
    ...rest,
    Spec: { ...WEB.Spec, Mode: mode, Name: 'job' },
    Endpoint: {},
  });
  const max = {
    ...WEB,
    Spec: {
      ...WEB.Spec,
      Name: 'web2',
      TaskTemplate: { ...WEB.Spec.TaskTemplate, Placement: { MaxReplicas: 3 } },
    },
    Endpoint: {},
  };
  const services = [
    max,
    WEB,
    job(
      { ReplicatedJob: { TotalCompletions: 5 } },
      { ServiceStatus: { RunningTasks: 2, DesiredTasks: 2, CompletedTasks: 3 } },
    ),
    job(
      { GlobalJob: {} },
      { ServiceStatus: { RunningTasks: 1, DesiredTasks: 1, CompletedTasks: 4 } },
    ),
    job({ Global: {} }, {}),
  ];
  const done = await command(t, { 'GET /services': services }, 'service', 'ls', '-f', 'name=w');
  t.deepEqual(done.out.split('\n'), [
    'ID             NAME      MODE             REPLICAS               IMAGE     PORTS',
    'svc1aaaaaaaa   job       replicated job   2/2 (3/5 completed)    nginx:1@sha256:abc'.replace(
      'nginx:1@sha256:abc',
      'nginx:1',
    ),
    'svc1aaaaaaaa   job       global job       1/1 (4/5 completed)    nginx:1',
    'svc1aaaaaaaa   job       global           1/2                    nginx:1',
    'svc1aaaaaaaa   web       replicated       1/2                    nginx:1   *:8080->80/tcp',
    'svc1aaaaaaaa   web2      replicated       1/2 (max 3 per node)   nginx:1',
    '',
  ]);
  t.deepEqual(done.asked[0]?.query, { status: 'true', filters: '{"name":{"w":true}}' });
  const quiet = await command(t, { 'GET /services': [WEB] }, 'service', 'ls', '-q');
  t.is(quiet.out, 'svc1aaaaaaaa\n');
});

test('service ps shows history under its slot, names resolved, errors whole', async (t) => {
  const failed = {
    ...TASK,
    ID: 'task0aaaaaaaaaaaaaaaaaaaa',
    CreatedAt: '2025-01-01T00:00:00Z',
    DesiredState: 'shutdown',
    Status: { State: 'failed', Timestamp: '2025-01-01T00:00:00Z', Err: 'e'.repeat(40) },
  };
  const answers = {
    ...BY_NAME,
    'GET /tasks': [failed, TASK],
    'GET /nodes': [NODE],
    'GET /services': [WEB],
  };
  const format = '{{.ID}} {{.Name}} {{.Node}} {{.DesiredState}} {{.Error}}';
  const done = await command(t, answers, 'service', 'ps', '--format', format, 'web');
  t.is(
    done.out,
    `task1aaaaaaa web.1 h1 Running \ntask0aaaaaaa  \\_ web.1 h1 Shutdown "${'e'.repeat(40)}"\n`,
  );
  const raw = await command(
    t,
    answers,
    'service',
    'ps',
    '--no-resolve',
    '--no-trunc',
    '--format',
    '{{.Name}} {{.Node}}',
    'web',
  );
  t.true(raw.out.startsWith(`${WEB.ID}.1.${TASK.ID} n1\n`));
  const quiet = await command(t, answers, 'service', 'ps', '-q', 'web');
  t.is(quiet.out, `${TASK.ID}\n${failed.ID}\n`);
});

test('service ps adds the id of a node whose host name another one has, for people only', async (t) => {
  const nodes = ['n1', 'n2'].map((ID) => ({ ...NODE, ID, Description: { Hostname: 'same' } }));
  const answers = { ...BY_NAME, 'GET /tasks': [TASK], 'GET /nodes': nodes, 'GET /services': [WEB] };
  const people = await command(t, answers, 'service', 'ps', 'web');
  t.regex(people.out, / same \(n1\) +Running/);
  const script = await command(t, answers, 'service', 'ps', '--format', '{{.Node}}', 'web');
  t.is(script.out, 'same\n');
});

test('service ps says why a task gets no traffic, or waits', async (t) => {
  const at = '2026-01-01T00:00:00Z';
  const states = [
    { State: 'running', Ready: false, Message: 'running, but not listening on port 80/tcp yet' },
    { State: 'pending', Err: 'no suitable node' },
    { State: 'running', Ready: true, Message: 'running' },
  ];
  const tasks = states.map((status, index) => ({
    ...{ ...TASK, ID: `t${index}`, Slot: index + 1, Status: { Timestamp: at, ...status } },
  }));
  const answers = { ...BY_NAME, 'GET /tasks': tasks, 'GET /nodes': [NODE], 'GET /services': [WEB] };
  const { out } = await command(t, answers, 'service', 'ps', '--format', '{{.Error}}', 'web');
  t.is(out, '"running, but not listening on port 80/tcp yet"\n"no suitable node"\n\n');
});

test('service ps lists services by name, whatever their ids are', async (t) => {
  const of = (ServiceName: string, ServiceID: string) => ({ ...TASK, ServiceName, ServiceID });
  const tasks = [of('web10', 'a'), of('web2', 'b'), of('api', 'c')];
  const services = tasks.map(({ ServiceID: ID, ServiceName: Name }) => ({ ID, Spec: { Name } }));
  const answers = {
    ...{ ...BY_NAME, 'GET /tasks': tasks, 'GET /nodes': [NODE], 'GET /services': services },
  };
  const { out } = await command(t, answers, 'service', 'ps', '--format', '{{.Name}}', 'web');
  t.is(out, 'api.1\nweb2.1\nweb10.1\n');
});

test('service ps breaks reasons into lines on a terminal, and nowhere else', async (t) => {
  const Err = `bind source path does not exist: /nope; ${'more words '.repeat(12)}`.trim();
  const tasks = [{ ...TASK, Status: { State: 'rejected', Timestamp: TASK.CreatedAt, Err } }];
  const answers = { ...BY_NAME, 'GET /tasks': tasks, 'GET /nodes': [NODE], 'GET /services': [WEB] };
  const pipe = await command(t, answers, 'service', 'ps', 'web');
  t.true(pipe.out.includes(`"${Err}"`));
  const on = async (columns: number, ...flags: string[]) =>
    (
      await commandOn(
        t,
        recorder({ isTTY: true, columns }),
        answers,
        'service',
        'ps',
        ...flags,
        'web',
      )
    ).out;
  const lines = (await on(150)).trimEnd().split('\n');
  t.true(lines.length > 2 && lines.every((line) => line.length <= 150), lines.join('\n'));
  t.regex(lines[1]!, /"bind source path does not/);
  const joined = lines.slice(1).map((line) => line.slice(lines[0]!.indexOf('ERROR')).trim());
  t.is(joined.join(' '), `"${Err}"`);
  t.true((await on(150, '--no-trunc')).includes(`"${Err}"`));
  t.true((await on(60)).includes(`"${Err}"`));
});

test('service inspect prints what it finds and fails for what it does not', async (t) => {
  const done = await command(t, BY_NAME, 'service', 'inspect', 'nope', 'web');
  t.is(done.code, 1);
  t.deepEqual(JSON.parse(done.out), [WEB]);
  t.is(done.err, 'Error response from daemon: /services/nope not found\n');
  t.is(done.asked[0]?.query.insertDefaults, 'true');
  const name = await command(t, BY_NAME, 'service', 'inspect', '-f', '{{.Spec.Name}}', 'web');
  t.is(name.out, 'web\n');
  const json = await command(t, BY_NAME, 'service', 'inspect', '--format', 'json', 'web');
  t.is(json.out, `${JSON.stringify([WEB])}\n`);
  const pretty = await command(t, BY_NAME, 'service', 'inspect', '--pretty', 'web');
  t.true(pretty.out.includes('Service Mode:\tReplicated\n Replicas:\t2\n'));
});

test('service update changes the spec it read and says of which version', async (t) => {
  const done = await command(t, RUNNING, 'service', 'update', '-d', '--env-add', 'A=1', 'web');
  t.deepEqual([done.code, done.out], [0, 'web\n']);
  const { query, body } = sent(done, UPDATE);
  t.deepEqual(query, { version: '10', registryAuthFrom: 'spec' });
  t.deepEqual(body.TaskTemplate.ContainerSpec, { Image: 'nginx:1@sha256:abc', Env: ['A=1'] });
});

test('service update tries again when someone else was faster, and not for ever', async (t) => {
  let refusals = 2;
  const stale = { status: 500, message: 'rpc error: update out of sequence' };
  const answers = { ...RUNNING, [`POST ${UPDATE}`]: () => (refusals-- > 0 ? stale : {}) };
  t.is((await command(t, answers, 'service', 'update', '-d', '--force', 'web')).code, 0);
  const never = await command(
    t,
    { ...RUNNING, [`POST ${UPDATE}`]: stale },
    'service',
    'update',
    '-d',
    '--force',
    'web',
  );
  t.is(never.code, 1);
  t.is(never.asked.filter(({ method }) => method === 'POST').length, 5);
});

test('service update exits with 1 when the service was rolled back', async (t) => {
  const back = { ...WEB, UpdateStatus: { State: 'rollback_completed', Message: 'as it was' } };
  const answers = { ...RUNNING, [`GET /services/${WEB.ID}`]: back };
  const done = await command(t, answers, 'service', 'update', '-q', '--force', 'web');
  t.deepEqual([done.code, done.err], [1, 'service rolled back: as it was\n']);
  const asked = await command(t, answers, 'service', 'rollback', '-q', 'web');
  t.deepEqual([asked.code, asked.err], [0, '']);
  t.is(sent(asked, UPDATE).query.rollback, 'previous');
});

test('service update --rollback stands alone', async (t) => {
  const done = await command(t, RUNNING, 'service', 'update', '--rollback', '--image', 'x', 'web');
  t.is(done.code, 1);
  t.regex(done.err, /may not be combined with --rollback: leave out --image/);
  t.is(done.asked.length, 0);
});

const RESUME = `/x/services/${WEB.ID}/resume`;
const ROLLBACK = `/x/services/${WEB.ID}/rollback`;
const PAUSED = { State: 'paused', Message: 'update paused due to failure' };

test('service update --resume goes on with what is paused, and stands alone', async (t) => {
  const done = await command(
    t,
    { ...RUNNING, [`POST ${RESUME}`]: {} },
    ...['service', 'update', '-q', '--resume', 'web'],
  );
  t.deepEqual([done.code, done.out], [0, 'web\n'], done.err);
  t.is(sent(done, RESUME).query.version, '10');
  const both = await command(
    t,
    RUNNING,
    'service',
    'update',
    '--resume',
    '--env-add',
    'A=B',
    'web',
  );
  t.is(both.code, 1);
  t.regex(both.err, /may not be combined with --resume: leave out --env-add/);
});

test('service rollback --to goes to a revision by its number', async (t) => {
  const answers = { ...RUNNING, [`POST ${ROLLBACK}`]: {} };
  const done = await command(t, answers, 'service', 'rollback', '-d', '--to', '3', 'web');
  t.is(done.code, 0, done.err);
  t.deepEqual(sent(done, ROLLBACK).query, { version: '10', to: '3' });
  const bad = await command(t, answers, 'service', 'rollback', '--to', 'v1', 'web');
  t.is(bad.code, 1);
  t.regex(bad.err, /--to v1: give the number of a revision/);
});

test('service history lists the revisions with what became of them', async (t) => {
  const revision = {
    ...{ Number: 2, IsCurrent: true, IsRollbackTarget: false, State: 'paused', Cause: 'update' },
    ...{ CreatedAt: '2026-01-01T00:00:00Z', StartedAt: '2026-01-01T00:00:00Z' },
    ...{ Message: PAUSED.Message, Spec: WEB.Spec },
  };
  const first = {
    ...revision,
    ...{ Number: 1, IsCurrent: false, IsRollbackTarget: true, State: 'completed', Cause: 'create' },
    Message: undefined,
  };
  const answers = { 'GET /x/services/web/history': [revision, first] };
  const done = await command(t, answers, 'service', 'history', 'web');
  t.is(done.code, 0, done.err);
  const lines = done.out.split('\n');
  t.regex(lines[0]!, /^REVISION +STATE +BY +STARTED +IMAGE +MESSAGE$/);
  t.regex(
    lines[1]!,
    /^2 \(current\) +paused +update +.* ago +nginx:1 +update paused due to failure$/,
  );
  t.regex(lines[2]!, /^1 \(rollback\) +completed +create +.* ago +nginx:1$/);
  t.is((await command(t, answers, 'service', 'history', '-q', 'web')).out, '2\n1\n');
  const json = await command(t, answers, 'service', 'history', '--format', 'json', 'web');
  t.like(JSON.parse(json.out.split('\n')[0]!), { Number: 2, Spec: { Name: 'web' } });
});

test('service ls and ps show a pause, and templates keep the bare numbers', async (t) => {
  const paused = { ...WEB, UpdateStatus: PAUSED };
  const answers = { ...RUNNING, 'GET /services': [paused], 'GET /services/web': paused };
  const listed = await command(t, answers, 'service', 'ls');
  t.regex(listed.out, / 1\/2 \(update paused\) /);
  const template = await command(t, answers, 'service', 'ls', '--format', '{{.Replicas}}');
  t.is(template.out, '1/2\n');
  const tasks = await command(t, answers, 'service', 'ps', 'web');
  t.is(tasks.code, 0);
  t.regex(tasks.err, /^service update paused: update paused due to failure\n/);
  t.is((await command(t, answers, 'service', 'ps', '-q', 'web')).err, '');
});

test('scaling a paused service is no failure, a new image that pauses is one', async (t) => {
  const paused = { ...WEB, UpdateStatus: PAUSED };
  const answers = { ...RUNNING, [`GET /services/${WEB.ID}`]: paused };
  const scaled = await command(t, answers, 'service', 'scale', '-q', 'web=2');
  t.is(scaled.code, 0);
  t.regex(scaled.err, /update paused/);
  const labelled = await command(
    t,
    answers,
    'service',
    'update',
    '-q',
    '--label-add',
    'a=b',
    'web',
  );
  t.is(labelled.code, 0);
  const updated = await command(t, answers, 'service', 'update', '-q', '--env-add', 'A=B', 'web');
  t.is(updated.code, 1);
});

test('service scale scales services and jobs, each for itself', async (t) => {
  const all = { ...WEB, ID: 'all', Spec: { ...WEB.Spec, Mode: { Global: {} } } };
  const job = { ...WEB, ID: 'job', Spec: { ...WEB.Spec, Mode: { ReplicatedJob: {} } } };
  const answers = {
    ...RUNNING,
    'GET /services/all': all,
    'GET /services/job': job,
    'POST /services/job/update': {},
  };
  const done = await command(t, answers, 'service', 'scale', '-d', 'web=5', 'all=2', 'job=3');
  t.is(done.code, 1);
  t.is(done.out, 'web scaled to 5\njob scaled to 3\n');
  t.is(done.err, 'all: scale can only be used with replicated or replicated-job mode\n');
  t.deepEqual(sent(done, UPDATE).body.Mode, { Replicated: { Replicas: 5 } });
  t.deepEqual(sent(done, '/services/job/update').body.Mode, {
    ReplicatedJob: { MaxConcurrent: 3, TotalCompletions: 3 },
  });
  const bad = await command(t, answers, 'service', 'scale', 'web=x');
  t.deepEqual([bad.code, bad.asked.length], [1, 0]);
});

test('service rm removes what it can and fails for the rest', async (t) => {
  const done = await command(t, { 'DELETE /services/web': {} }, 'service', 'rm', 'nope', 'web');
  t.deepEqual([done.code, done.out], [1, 'web\n']);
  t.regex(done.err, /Error response from daemon: .*nope/);
});

const DETAILS = `com.docker.swarm.node.id=n1,com.docker.swarm.task.id=${TASK.ID}`;
const LOGS = {
  ...RUNNING,
  [`GET /services/${WEB.ID}/logs`]: Buffer.concat([
    frame(1, `${DETAILS} out\n`),
    frame(2, `${DETAILS} err\n`),
  ]),
};

test('service logs sends both streams where they belong, with whose they are', async (t) => {
  const done = await command(t, LOGS, 'service', 'logs', '--tail', '5', 'web');
  t.deepEqual(
    [done.code, done.out, done.err],
    [0, 'web.1.task1aaaaaaa@h1    | out\n', 'web.1.task1aaaaaaa@h1    | err\n'],
  );
  t.deepEqual(done.asked.at(-1)?.query, {
    stdout: '1',
    stderr: '1',
    details: '1',
    tail: '5',
  });
});

const TIME = '2026-01-01T00:00:00.000000000Z';

test('service logs -f names tasks that came later, and shows what the cluster says on stderr', async (t) => {
  const later = { ...TASK, ID: 'task2bbbbbbbbbbbbbbbbbbbb', Slot: 2 };
  const details = `${TIME} com.docker.swarm.node.id=n1,com.docker.swarm.task.id=${later.ID}`;
  const answers = {
    ...LOGS,
    [`GET /tasks/${later.ID}`]: later,
    [`GET /services/${WEB.ID}/logs`]: Buffer.concat([
      frame(1, `${details} out\n`),
      frame(2, `${details},com.docker.swarm.notice=1 [swarm] node h1 is away\n`),
    ]),
  };
  const done = await command(t, answers, 'service', 'logs', '-f', 'web');
  t.deepEqual(
    [done.code, done.out, done.err],
    [0, 'web.2.task2bbbbbbb@h1    | out\n', 'swarm: node h1 is away\n'],
  );
  t.deepEqual(done.asked.at(-2)?.query, {
    ...{ stdout: '1', stderr: '1', details: '1', timestamps: '1', removed: '1' },
    ...{ tail: 'all', follow: '1' },
  });
  const raw = await command(t, answers, 'service', 'logs', '-f', '--raw', '-t', 'web');
  t.is(raw.out, `${TIME} out\n`);
});

test('service logs -f goes on after its connection broke, without a line twice', async (t) => {
  const line = (second: number, text: string) =>
    frame(1, `${TIME.replace('00.', `0${second}.`)} ${DETAILS} ${text}\n`);
  const parts = [
    // The reply ends in the middle of a line.
    Buffer.concat([line(1, 'one'), line(2, 'two'), line(3, 'three').subarray(0, 20)]),
    { status: 503, message: 'no leader' },
    Buffer.concat([line(1, 'one'), line(2, 'two'), line(2, 'two too'), line(3, 'three')]),
  ];
  const answers = { ...LOGS, [`GET /services/${WEB.ID}/logs`]: () => parts.shift()! };
  const done = await command(t, answers, 'service', 'logs', '-f', '--raw', 'web');
  t.deepEqual([done.code, done.out, done.err], [0, 'one\ntwo\ntwo too\nthree\n', '']);
  t.like(done.asked.at(-1)?.query, { tail: 'all', since: '2025-12-31T23:59:02.000Z' });
});

test('service logs --no-resolve shows ids, --raw only lines', async (t) => {
  const ids = await command(t, LOGS, 'service', 'logs', '--no-resolve', 'web');
  t.is(ids.out, `${WEB.ID}.1.task1aaaaaaa@n1    | out\n`);
  const raw = await command(t, LOGS, 'service', 'logs', '--raw', 'web');
  t.is(raw.asked.at(-1)?.query.details, undefined);
});

test('service logs finds tasks, and fails when a log cannot be read', async (t) => {
  const answers = {
    'GET /tasks/t1': TASK,
    'GET /tasks': [TASK],
    'GET /nodes': [NODE],
    [`GET /tasks/${TASK.ID}/logs`]: frame(3, 'Error grabbing logs: node h1 is down\n'),
  };
  const done = await command(t, answers, 'service', 'logs', 't1');
  t.deepEqual([done.code, done.err], [1, 'Error grabbing logs: node h1 is down\n']);
  const none = await command(t, {}, 'service', 'logs', 'x');
  t.deepEqual([none.code, none.err], [1, 'no such task or service: x\n']);
  const tail = await command(t, {}, 'service', 'logs', '--tail', 'x', 'web');
  t.regex(tail.err, /--tail/);
});

test('logs of a terminal need --raw', async (t) => {
  const tty = {
    ...WEB,
    Spec: {
      ...WEB.Spec,
      TaskTemplate: { ...WEB.Spec.TaskTemplate, ContainerSpec: { Image: 'x', TTY: true } },
    },
  };
  const answers = {
    'GET /services/web': tty,
    [`GET /services/${WEB.ID}/logs`]: Buffer.from('a\r\n'),
  };
  const refused = await command(t, answers, 'service', 'logs', 'web');
  t.regex(refused.err, /add --raw/);
  t.is((await command(t, answers, 'service', 'logs', '--raw', 'web')).out, 'a\r\n');
});
