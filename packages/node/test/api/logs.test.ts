import { once } from 'node:events';
import http from 'node:http';
import { ApiError } from '@swarm/api';
import test from 'ava';
import { LogFrameReader, put, serviceDraft, taskDraft } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import { call } from './support/client.js';
import { start } from './support/fake-node.js';

const api = await start({ nodeId: 'node1' });
await put(api.node.store, 'service', serviceDraft('web'));
await put(api.node.store, 'task', taskDraft('task1', { ServiceID: 'web' }));
test.after.always(() => api.close());

function say(stream: 'stdout' | 'stderr', text: string) {
  const timestamp = '2026-01-01T00:00:00.5Z';
  const line = { taskId: 'task1', stream, timestamp, data: Buffer.from(text) };
  return { type: 'line' as const, nodeId: 'node1', line };
}

/** Splits Docker's frames. */
function frames(body: Buffer): { stream: number; text: string }[] {
  const found = [];
  for (let at = 0; at < body.byteLength; ) {
    const length = body.readUInt32BE(at + 4);
    found.push({ stream: body[at]!, text: body.toString('utf8', at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return found;
}

test.serial('lines arrive in frames of their stream, with time and details', async (t) => {
  api.node.logItems = [say('stdout', 'one\n'), say('stderr', 'two')];
  const path = '/v1.50/services/web/logs?details=1&timestamps=1&stdout=1&stderr=1&tail=5';
  const reply = await api.call('GET', path);
  t.is(reply.headers['content-type'], 'application/vnd.docker.multiplexed-stream');
  const head =
    '2026-01-01T00:00:00.500000000Z com.docker.swarm.node.id=node1,com.docker.swarm.service.id=web,' +
    'com.docker.swarm.task.id=task1 ';
  t.deepEqual(frames(reply.body), [
    { stream: 1, text: `${head}one\n` },
    { stream: 2, text: `${head}two\n` },
  ]);
  t.like(api.node.asked, {
    selector: { serviceIds: ['web'], taskIds: [] },
    options: { tail: 5, follow: false, stdout: true, stderr: true },
  });
});

test.serial(
  'clients before 1.42 and terminals get the raw type, terminals no frames',
  async (t) => {
    api.node.logItems = [say('stdout', 'plain\n')];
    const old = await api.call('GET', '/v1.41/tasks/task1/logs?stdout=1');
    t.is(old.headers['content-type'], 'application/vnd.docker.raw-stream');
    t.deepEqual(frames(old.body), [{ stream: 1, text: 'plain\n' }]);
    const spec = { ContainerSpec: { Image: 'x', TTY: true }, ForceUpdate: 0 };
    await put(api.node.store, 'task', taskDraft('tty1', { ServiceID: 'web', Spec: spec }));
    const tty = await api.call('GET', '/v1.50/tasks/tty1/logs?stdout=1');
    t.is(tty.headers['content-type'], 'application/vnd.docker.raw-stream');
    t.is(tty.text, 'plain\n');
  },
);

test.serial('missing logs are reported at the end, in an error frame', async (t) => {
  api.node.logItems = [
    { type: 'warning', message: 'node n2 is not available' },
    say('stdout', 'x\n'),
  ];
  const reply = await api.call('GET', '/services/web/logs?stdout=1');
  t.deepEqual(frames(reply.body), [
    { stream: 1, text: 'x\n' },
    { stream: 3, text: 'Error grabbing logs: node n2 is not available\n' },
  ]);
});

test.serial('a line in pieces is one frame, and bytes are bytes', async (t) => {
  const whole = Buffer.concat([Buffer.from('ö'.repeat(50_000)), Buffer.from([0xff, 0xc3, 0x0a])]);
  api.node.logItems = [];
  for (let at = 0; at < whole.length; at += 16_383) {
    const item = say('stdout', '');
    const partial = at + 16_383 < whole.length;
    const data = whole.subarray(at, at + 16_383);
    api.node.logItems.push({ ...item, line: { ...item.line, data, partial } });
  }
  const reply = await api.call('GET', '/services/web/logs?stdout=1');
  t.is(reply.body.readUInt32BE(4), whole.length);
  t.true(reply.body.subarray(8).equals(whole));
});

test.serial(
  'a notice is a marked line of standard error, with a task where there are details',
  async (t) => {
    api.node.logItems = [
      { type: 'open' },
      { type: 'notice', message: 'node n1 is away', taskId: 'task1' },
      { type: 'notice', message: 'no leader' },
    ];
    const plain = await api.call('GET', '/services/web/logs?stdout=1&stderr=1&follow=0');
    t.deepEqual(frames(plain.body), [
      { stream: 2, text: '[swarm] node n1 is away\n' },
      { stream: 2, text: '[swarm] no leader\n' },
    ]);
    const detailed = await api.call('GET', '/services/web/logs?stdout=1&stderr=1&details=1');
    t.is(frames(detailed.body).length, 1);
    t.regex(
      frames(detailed.body)[0]!.text,
      /^com\.docker\.swarm\.node\.id=,.*task\.id=task1,com\.docker\.swarm\.notice=1 \[swarm\] node/,
    );
    t.deepEqual(frames((await api.call('GET', '/services/web/logs?stdout=1')).body), []);
  },
);

test.serial('a stock client gets no line of a task that it cannot look up', async (t) => {
  const item = say('stdout', 'x\n');
  api.node.logItems = [{ ...item, line: { ...item.line, taskId: 'removed' } }];
  const path = '/services/web/logs?stdout=1&details=1';
  t.is(frames((await api.call('GET', path)).body).length, 0);
  t.is(frames((await api.call('GET', `${path}&removed=1`)).body).length, 1);
  t.is(frames((await api.call('GET', '/services/web/logs?stdout=1')).body).length, 1);
});

test.serial('since keeps its nanoseconds', async (t) => {
  api.node.logItems = [];
  const sinceOf = async (text: string) => {
    await api.call('GET', `/services/web/logs?stdout=1&since=${text}`);
    return (api.node.asked!.options as { since?: string }).since;
  };
  t.is(await sinceOf('1767225600.123456789'), '2026-01-01T00:00:00.123456789Z');
  t.is(await sinceOf('2026-01-01T00:00:00.000000001Z'), '2026-01-01T00:00:00.000000001Z');
  t.is(await sinceOf('1767225600'), '2026-01-01T00:00:00.000Z');
  t.is(await sinceOf('0'), undefined);
});

test.serial("a terminal's bytes are passed on as they are", async (t) => {
  const spec = { ContainerSpec: { Image: 'x', TTY: true }, ForceUpdate: 0 };
  await put(api.node.store, 'task', taskDraft('tty2', { ServiceID: 'web', Spec: spec }));
  api.node.logItems = [say('stdout', '10 %\r'), say('stdout', '20 %')];
  t.is((await api.call('GET', '/tasks/tty2/logs?stdout=1')).text, '10 %\r20 %');
});

test.serial('only managers may ask the leader for logs, and get items', async (t) => {
  api.node.logItems = [{ type: 'open' }, say('stdout', 'x\n')];
  const options = { follow: false, stdout: true, stderr: true, tail: -1 };
  const json = { selector: { serviceIds: ['web'] }, options };
  const ask = (socketPath: string) => call(socketPath, 'POST', '/x/logs', { json });
  t.is((await ask(api.socketPath)).status, 403);
  t.is((await ask(await api.listenAs('worker1', 'worker'))).status, 403);
  const manager = await api.listenAs('manager1');
  const reply = await ask(manager);
  t.is(reply.status, 200);
  const items = new LogFrameReader().push(reply.body);
  t.deepEqual(
    items.map(({ type }) => type),
    ['line', 'end'],
  );
  api.node.leads = false;
  t.is((await ask(manager)).status, 503);
  api.node.leads = true;
});

test.serial(
  'a leader of an earlier version, which serves no other manager, answers what is forwarded',
  async (t) => {
    const follower = await start({ nodeId: 'node2' });
    try {
      await put(follower.node.store, 'service', serviceDraft('web'));
      follower.node.leads = false;
      follower.node.others = [
        { nodeId: 'node1', address: '198.18.0.2:2377', reachability: 'reachable', leader: true },
      ];
      follower.node.logError = new ApiError('NOT_FOUND', 'page not found');
      follower.node.leaderSocket = await api.listenAs('node2');
      api.node.logItems = [say('stdout', 'from the leader\n')];
      const reply = await follower.call('GET', '/services/web/logs?stdout=1');
      t.deepEqual(frames(reply.body), [{ stream: 1, text: 'from the leader\n' }]);
    } finally {
      await follower.close();
    }
  },
);

test.serial('bad options are refused', async (t) => {
  t.regex(
    (await api.call('GET', '/services/web/logs')).message,
    /^Bad parameters: you must choose at least one stream/,
  );
  t.is((await api.call('GET', '/services/web/logs?stdout=1&tail=some')).status, 400);
  t.is((await api.call('GET', '/services/web/logs?stdout=1&since=x')).status, 400);
  t.is((await api.call('GET', '/services/ghost/logs?stdout=1')).status, 404);
});

test.serial('a follower of logs that goes away ends the stream at the broker', async (t) => {
  api.node.logItems = [say('stdout', 'first\n')];
  const before = api.node.logsEnded;
  const path = '/services/web/logs?stdout=1&follow=1';
  const request = http.get({ socketPath: api.socketPath, path, agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  await once(response, 'data');
  t.is(api.node.logsEnded, before);
  request.destroy();
  await until('the node ends the logs', () => api.node.logsEnded === before + 1);
  t.pass();
});
