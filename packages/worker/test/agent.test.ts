import {
  type AgentMessage,
  type LogLine,
  type MeshDelta,
  type Node,
  PROGRAM,
  silentLogger,
} from '@swarm/api';
import test from 'ava';
import { Level } from 'level';
import { WebSocket } from 'ws';
import { until } from '@swarm/sim';
import { LOG_MESSAGE_LIMIT_BYTES, STATUS_INFLIGHT_LIMIT } from '../src/agent/limits.js';
import type { AgentOptions } from '../src/agent/agent-options.js';
import { managersFile } from '../src/storage/managers-file.js';
import { assigning, open } from './support/agent-bench.js';
import { FakeMesh } from './support/fake-mesh.js';
import { FakeRuntime } from './support/fake-runtime.js';
import { HTTP_PORT, makeNode, makeTask } from './support/make-task.js';
import { ScriptedManager } from './support/scripted-manager.js';

const MESH_NODE = makeNode({ Mesh: { Index: 3, Address: '198.18.0.1', Subnet: '10.240.3.0/24' } });

function delta(base: number, generation: number, change: Partial<MeshDelta> = {}): MeshDelta {
  return { base, generation, peers: [], removedPeers: [], ports: [], removedPorts: [], ...change };
}

test('An agent says who it is, takes its tasks and reports them running', async (t) => {
  const bench = await open(assigning(makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  t.like(bench.manager.hellos[0], {
    dataPathAddr: '198.18.0.1',
    meshGeneration: 0,
    description: { Hostname: 'worker-1', Runtime: 'process', MeshBackend: 'nftables' },
  });
  const sequences = bench.manager.all('status').map(({ sequence }) => sequence);
  t.deepEqual(
    sequences,
    sequences.map((_, at) => at + 1),
  );
  await bench.close();
});

test('The agent reports which published ports its node does not serve, and that it serves them again', async (t) => {
  const bench = await open();
  await until('a session', () => bench.agent.connected);
  t.is(bench.manager.hellos[0]?.description.PortConflicts, undefined);
  t.is(bench.manager.all('description').length, 0);
  const conflict = {
    Protocol: 'tcp' as const,
    PublishedPort: 80,
    Reason: 'nginx (pid 812) listens on it',
  };
  bench.mesh.conflict(conflict);
  bench.mesh.conflict(conflict, { ...conflict, PublishedPort: 81 });
  await until('a description', () => bench.manager.all('description').length === 1);
  const said = () => bench.manager.all('description').at(-1)?.description.PortConflicts;
  t.deepEqual(
    said()?.map(({ PublishedPort }) => PublishedPort),
    [80, 81],
  );
  // A thousand would not fit, and nobody would read them.
  bench.mesh.conflict(
    ...Array.from({ length: 1000 }, (_, at) => ({ ...conflict, PublishedPort: 1 + at })),
  );
  await until('another', () => bench.manager.all('description').length === 2);
  t.is(said()?.length, 64);
  bench.mesh.conflict();
  await until('the last', () => bench.manager.all('description').length === 3);
  t.is(said(), undefined);
  await bench.close();
});

test('Heartbeats go out at the pace of the welcome', async (t) => {
  const bench = await open((manager) => {
    manager.heartbeatMs = 400;
  });
  await until('four heartbeats', () => bench.manager.all('heartbeat').length >= 4);
  t.is(bench.manager.hellos.length, 1);
  await bench.close();
});

test('The agent leaves a manager that answers no heartbeat for three periods', async (t) => {
  const reasons: string[] = [];
  const events = { disconnected: (reason: string) => reasons.push(reason) };
  const bench = await open(
    (manager) => {
      manager.heartbeatMs = 50;
      manager.answerHeartbeats = false;
    },
    { events },
  );
  await until('a second session', () => bench.manager.hellos.length >= 2);
  t.regex(reasons[0] ?? '', /no heartbeat answered/);
  await bench.close();
});

test('A new session gets every status again', async (t) => {
  const bench = await open(assigning(makeTask('t1'), makeTask('t2')));
  await bench.manager.untilStatus('t1', 'running');
  await bench.manager.untilStatus('t2', 'running');
  bench.manager.socket?.terminate();
  await until('a second session', () => bench.manager.hellos.length === 2);
  await bench.manager.untilStatus('t1', 'running');
  await bench.manager.untilStatus('t2', 'running');
  t.is(bench.runtime.calls.filter((call) => call.startsWith('start')).length, 2);
  await bench.close();
});

test('Statuses wait while too many messages are not acknowledged; the newest comes then', async (t) => {
  const bench = await open((manager) => {
    manager.acknowledge = false;
    assigning(makeTask('t1'))(manager);
  });
  let progress = { started() {}, waiting(_: string) {} };
  bench.runtime.onStart.set('t1', (given) => {
    progress = given;
    return new Promise(() => {});
  });
  await bench.manager.untilStatus('t1', 'starting');
  for (let at = 0; bench.manager.all('status').length < STATUS_INFLIGHT_LIMIT; at += 1) {
    progress.waiting(`step ${at}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  progress.waiting('old');
  progress.waiting('newest');
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.is(bench.manager.all('status').length, STATUS_INFLIGHT_LIMIT);
  t.not(bench.manager.statuses.get('t1')?.Message, 'newest');
  bench.manager.send({ type: 'status-ack', sequence: STATUS_INFLIGHT_LIMIT });
  await until('the newest', () => bench.manager.statuses.get('t1')?.Message === 'newest');
  t.is(bench.manager.all('status').length, STATUS_INFLIGHT_LIMIT + 1);
  await bench.close();
});

test('A complete set removes tasks that it does not name', async (t) => {
  const bench = await open(assigning(makeTask('t1'), makeTask('t2')));
  await bench.manager.untilStatus('t2', 'running');
  bench.manager.assignAll([makeTask('t1')]);
  await until('t2 is removed', () => bench.runtime.calls.includes('remove t2'));
  t.true(bench.runtime.tasks.has('t1'));
  await bench.close();
});

test('An incremental set that does not follow the last one opens a new session', async (t) => {
  const bench = await open(assigning(makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  bench.manager.send({
    type: 'assignments',
    kind: 'incremental',
    appliesTo: 7,
    resultsIn: 8,
    update: [makeTask('t9')],
    remove: ['t1'],
  });
  await until('a second session', () => bench.manager.hellos.length === 2);
  t.false(bench.runtime.tasks.has('t9'));
  t.true(bench.runtime.tasks.has('t1'));
  await bench.close();
});

test('An assignment that goes and comes back is run again from the start', async (t) => {
  const bench = await open(assigning(makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  bench.manager.assign([], ['t1']);
  bench.manager.assign([makeTask('t1')]);
  await until('it ran twice', () => {
    return bench.runtime.calls.filter((call) => call === 'start t1').length === 2;
  });
  t.is(bench.runtime.tasks.get('t1')?.state, 'running');
  await bench.close();
});

for (const [what, withdraw, after] of [
  ['a put', (manager) => manager.assign([makeTask('t1', { desired: 'shutdown' })]), 'shutdown'],
  ['a removal', (manager) => manager.assign([], ['t1']), undefined],
  ['a complete set', (manager) => manager.assignAll([makeTask('t2')]), undefined],
] as [string, (manager: ScriptedManager) => void, string | undefined][]) {
  test(`While a task leaves, ${what} still reaches the next one of its id`, async (t) => {
    const bench = await open(assigning(makeTask('t1')));
    await bench.manager.untilStatus('t1', 'running');
    let stopped = () => {};
    const stop = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    bench.runtime.onStop.set('t1', () => stop);
    bench.manager.assign([], ['t1']);
    bench.manager.assign([makeTask('t1')]);
    withdraw(bench.manager);
    bench.manager.assign([makeTask('t2')]);
    await bench.manager.untilStatus('t2', 'running');
    stopped();
    await until('it is gone', () => bench.runtime.calls.includes('remove t1'));
    if (after !== undefined) await bench.manager.untilStatus('t1', after);
    bench.manager.assign([makeTask('t3')]);
    await bench.manager.untilStatus('t3', 'running');
    t.is(bench.runtime.calls.filter((call) => call === 'start t1').length, 1);
    await bench.close();
  });
}

test('An agent follows "not leader" to the leader, and learns the managers', async (t) => {
  const leader = await ScriptedManager.listen();
  assigning(makeTask('t1'))(leader);
  const bench = await open((manager) => {
    manager.onHello = () =>
      manager.send({
        type: 'not-leader',
        leader: leader.address,
        managers: [manager.address, leader.address],
      });
  });
  await leader.untilStatus('t1', 'running');
  t.is(bench.manager.hellos.length, 1);
  const saved = managersFile(`${bench.folder}/managers.json`, silentLogger);
  await until('the managers are saved', async () => (await saved.load()).length > 0);
  await bench.close();
  await leader.close();
});

test('A list of managers that moved does not make the agent forget the one that answered', async (t) => {
  const nowhere = { nodeId: 'm9', address: '127.0.0.1:9' };
  const bench = await open((manager) => {
    manager.onHello = () =>
      manager.send({ type: 'not-leader', leader: nowhere, managers: [nowhere] });
  });
  await until('it comes back', () => bench.manager.hellos.length === 3);
  t.deepEqual(
    bench.agent.managers.map(({ address }) => address).sort(),
    [nowhere.address, bench.manager.address.address].sort(),
  );
  await bench.close();
});

test('An agent whose managers are all gone tries one that it is told of at once', async (t) => {
  const bench = await open();
  await until('a session', () => bench.agent.connected);
  await bench.manager.close();
  const found = await ScriptedManager.listen();
  bench.agent.addManagers([{ nodeId: '', address: found.address.address }]);
  await until('a session with it', () => found.hellos.length === 1 && bench.agent.connected);
  t.pass();
  await bench.close();
  await found.close();
});

test('An agent that moved says so in a new session', async (t) => {
  const bench = await open();
  await until('a session', () => bench.agent.connected);
  bench.agent.move('198.18.0.77');
  await until('the managers hear it', () => bench.manager.hellos.length === 2);
  t.is(bench.manager.hellos[1]?.dataPathAddr, '198.18.0.77');
  bench.agent.move('198.18.0.77');
  await until('a session again', () => bench.agent.connected);
  t.is(bench.manager.hellos.length, 2, 'the same address changes nothing');
  await bench.close();
});

test('When the leader is gone the other managers are tried', async (t) => {
  const other = await ScriptedManager.listen();
  const bench = await open((manager) => {
    manager.onHello = () => manager.welcome({ managers: [manager.address, other.address] });
  });
  await until('a session', () => bench.agent.connected);
  await bench.manager.close();
  await until('a session with the other', () => other.hellos.length === 1);
  t.pass();
  await bench.close();
  await other.close();
});

test('Managers are remembered over a restart', async (t) => {
  const bench = await open();
  const saved = managersFile(`${bench.folder}/managers.json`, silentLogger);
  const other = { nodeId: 'other', address: '127.0.0.1:9' };
  await until('a session', () => bench.agent.connected);
  bench.manager.send({ type: 'node', node: makeNode(), managers: [bench.manager.address, other] });
  await until('saved', async () => (await saved.load()).length === 2);
  await bench.restart();
  t.deepEqual(
    bench.agent.managers.map(({ address }) => address).sort(),
    [bench.manager.address.address, other.address].sort(),
  );
  await bench.close();
});

test('A node does not take another node’s place, whatever a manager says', async (t) => {
  const heard: string[] = [];
  const bench = await open(
    (manager) => {
      manager.onHello = () => manager.welcome({ node: makeNode({ ID: 'node2' }) });
    },
    { events: { node: ({ ID }) => heard.push(ID) } },
  );
  await until('it asks again', () => bench.manager.hellos.length === 2);
  t.false(bench.agent.connected);
  bench.manager.onHello = () => bench.manager.welcome();
  await until('a session', () => bench.agent.connected);
  bench.manager.send({ type: 'node', node: makeNode({ ID: 'node2' }), managers: [] });
  await until('the session ended', () => !bench.agent.connected);
  t.true(heard.every((id) => id === 'node1'));
  await bench.close();
});

test('A removed node learns so, and does not come back', async (t) => {
  let refused = '';
  const events = {
    refused: (reason: string) => {
      refused = reason;
    },
  };
  const bench = await open(
    (manager) => {
      manager.onHello = () => manager.send({ type: 'session-end', reason: 'removed', fatal: true });
    },
    { events },
  );
  await until('it is told', () => refused === 'removed');
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(bench.manager.hellos.length, 1);
  await bench.close();
});

test('The daemon hears of its node object and of role changes', async (t) => {
  const roles: string[] = [];
  const levels: (number | undefined)[] = [];
  const events: AgentOptions['events'] = {
    node(node, _managers, featureLevel) {
      roles.push(node.Spec.Role);
      levels.push(featureLevel);
    },
  };
  const bench = await open(() => {}, { events });
  await until('the welcome', () => roles.length === 1);
  const node = makeNode({ Spec: { Labels: {}, Role: 'manager', Availability: 'active' } });
  bench.manager.send({ type: 'node', node, managers: [], featureLevel: 2 });
  await until('the change', () => roles.length === 2);
  t.deepEqual(roles, ['worker', 'manager']);
  t.deepEqual(levels, [undefined, 2]);
  await bench.close();
});

test('An agent leaves a manager that chose a protocol which it does not speak', async (t) => {
  const { Newest } = PROGRAM.Protocol;
  const asked: string[] = [];
  const bench = await open(() => {}, {
    connect({ address }) {
      const protocol = `swarm.dispatcher.${asked.length === 0 ? Newest + 1 : Newest}`;
      asked.push(protocol);
      return new WebSocket(`ws://${address}/dispatcher`, [protocol]);
    },
  });
  await until('the welcome', () => bench.agent.connected);
  t.is(asked.length, 2);
  t.is(bench.manager.hellos.length, 1, 'it says nothing in a session that it does not understand');
  await bench.close();
});

test('A garbled frame ends the session, not the agent', async (t) => {
  const bench = await open();
  await until('a session', () => bench.agent.connected);
  bench.manager.socket?.send(Buffer.from([0xc1, 0xff, 0x00]));
  await until('a second session', () => bench.manager.hellos.length === 2);
  t.pass();
  await bench.close();
});

test('A task that cannot be read is rejected with the reason, and the others run', async (t) => {
  const bad = { ...makeTask('t2'), Endpoint: { Ports: {} } } as unknown as ReturnType<
    typeof makeTask
  >;
  const bench = await open(assigning(bad, makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  const { Err } = await bench.manager.untilStatus('t2', 'rejected');
  t.regex(Err ?? '', /cannot read the task: \[0\]\.object\.Endpoint\.Ports: must be a list/);
  t.is(bench.manager.hellos.length, 1);
  t.false(bench.runtime.tasks.has('t2'));
  await bench.close();
});

test('A running task whose update cannot be read keeps running, and still stops when it should', async (t) => {
  const bench = await open(assigning(makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  const unreadable = (desired: 'running' | 'shutdown') =>
    ({ ...makeTask('t1', { desired }), Slot: -1 }) as ReturnType<typeof makeTask>;
  bench.manager.assignAll([unreadable('running'), makeTask('t2')]);
  await bench.manager.untilStatus('t2', 'running');
  t.is(bench.manager.statuses.get('t1')?.State, 'running');
  bench.manager.assign([unreadable('shutdown')]);
  await bench.manager.untilStatus('t1', 'shutdown');
  await bench.close();
});

test('The mesh skips a peer that it cannot read, and holds the rest', async (t) => {
  const bench = await open((manager) => {
    manager.onHello = () => manager.welcome({ node: MESH_NODE });
  });
  await until('a session', () => bench.agent.connected);
  const peer = { nodeId: 'n4', index: 4, address: '198.18.0.4', subnet: '10.240.4.0/24' };
  const peers = [{ ...peer, nodeId: 'n5', address: '198.18.0.5\nlink del eth0' }, peer];
  bench.manager.send({ type: 'mesh', delta: delta(0, 7, { peers }) });
  await until('7 is held', () => bench.manager.all('mesh-ack').some((a) => a.generation === 7));
  t.deepEqual(bench.mesh.applied.at(-1)?.peers, [peer]);
  t.is(bench.manager.hellos.length, 1);
  await bench.close();
});

test('A message of a type that is not known ends the session with its name', async (t) => {
  const reasons: string[] = [];
  const events = { disconnected: (reason: string) => reasons.push(reason) };
  const bench = await open(() => {}, { events });
  await until('a session', () => bench.agent.connected);
  bench.manager.send({ type: 'dance' } as never);
  await until('a second session', () => bench.manager.hellos.length === 2);
  t.regex(reasons[0] ?? '', /type: is unknown: "dance"/);
  await bench.close();
});

test('A task that its manager gave up is not reported, in no session', async (t) => {
  const bench = await open(assigning(makeTask('t1', { observed: 'orphaned' }), makeTask('t2')));
  await bench.manager.untilStatus('t2', 'running');
  bench.manager.socket?.terminate();
  await until('a second session', () => bench.manager.hellos.length === 2);
  await bench.manager.untilStatus('t2', 'running');
  t.is(bench.manager.statuses.get('t1'), undefined);
  await bench.close();
});

test("An engine's unusual description does not end the session", async (t) => {
  const strange = {
    hostname: 'x'.repeat(1_000),
    platform: { Architecture: undefined, OS: 7 },
    resources: { NanoCPUs: Number.NaN, MemoryBytes: 2 ** 63 },
    engineVersion: undefined,
    plugins: Array.from({ length: 3_000 }, (_, index) => ({ Type: 'x'.repeat(200), Name: index })),
  } as unknown as FakeRuntime['description'];
  const bench = await open(assigning(makeTask('t1')), {
    runtime: Object.assign(new FakeRuntime(), { description: strange }),
    dataPathAddr: 'fe80::1%eth0',
  });
  await until('a session', () => bench.agent.connected);
  t.like(bench.manager.hellos[0], {
    dataPathAddr: '',
    description: {
      Hostname: 'x'.repeat(256),
      Platform: { Architecture: '', OS: '' },
      Resources: {},
    },
  });
  await bench.close();
});

test('A record on disk that cannot be read is dropped, and the others still serve', async (t) => {
  const bench = await open(assigning(makeTask('t1'), makeTask('t2')));
  await bench.manager.untilStatus('t1', 'running');
  await bench.manager.untilStatus('t2', 'running');
  await bench.agent.close();
  const disk = new Level<string, Uint8Array>(`${bench.folder}/tasks`, { valueEncoding: 'view' });
  await disk.put('task/t1', Uint8Array.of(0xd4, 0x72, 0x40));
  await disk.put('mesh', Uint8Array.of(0x81));
  await disk.close();
  await bench.restart();
  const starts = () => bench.runtime.calls.filter((call) => call.startsWith('start'));
  await until('the task is started again', () => starts().length > 2);
  await bench.manager.untilStatus('t1', 'running');
  await bench.manager.untilStatus('t2', 'running');
  t.deepEqual(starts().sort(), ['start t1', 'start t1', 'start t2']);
  await bench.close();
});

test('A line of a log that is too long comes in pieces', async (t) => {
  const bench = await open(assigning(makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  bench.runtime.lines = [{ ...logLine(1, 70_000), timestamp: 'lately' }, logLine(2, 0)];
  bench.manager.send({ type: 'log-subscribe', subscription: 's1', taskIds: ['t1'], options: LOGS });
  await until('the end', () => bench.manager.all('log-end').length === 1);
  const sizes = bench.manager
    .all('log')
    .flatMap(({ lines }) => lines.map(({ data }) => data.length));
  t.deepEqual(sizes, [32_768, 32_768, 4_464, 0]);
  await bench.close();
});

test('After a restart without any manager the node knows its tasks and its mesh', async (t) => {
  const task = makeTask('t1', { ports: [HTTP_PORT], address: '10.240.3.5/32' });
  const bench = await open((manager) => {
    manager.onHello = () => {
      manager.welcome({ node: MESH_NODE });
      manager.send({ type: 'mesh', delta: delta(0, 5) });
      manager.assignAll([task]);
    };
  });
  await bench.manager.untilStatus('t1', 'running');
  await until('the mesh is held', () => bench.manager.all('mesh-ack').length > 0);
  await bench.manager.close();
  const mesh = new FakeMesh();
  await bench.restart({ mesh });
  await until('the mesh is set up', () => mesh.applied.length === 1);
  t.is(mesh.applied[0]?.generation, 5);
  t.deepEqual(mesh.self, {
    nodeId: 'node1',
    index: 3,
    address: '198.18.0.1',
    subnet: '10.240.3.0/24',
  });
  t.deepEqual([...(mesh.retained ?? [])], ['t1']);
  t.is(bench.runtime.tasks.get('t1')?.state, 'running');
  t.is(bench.runtime.calls.filter((call) => call === 'start t1').length, 1);
  await bench.close();
});

test('The mesh begins in the block of the ingress network that managers named last', async (t) => {
  const ingress = { subnet: '10.11.0.0/16', mtuBytes: 1200 };
  const bench = await open((manager) => {
    manager.onHello = () => {
      manager.welcome({ node: MESH_NODE });
      manager.send({ type: 'mesh', delta: { ...delta(0, 5), ingress } });
    };
  });
  await until('the mesh is held', () => bench.manager.all('mesh-ack').length > 0);
  t.deepEqual(bench.mesh.applied.at(-1)?.ingress, ingress);
  bench.manager.send({ type: 'mesh', delta: { ...delta(5, 6), ingress } });
  await until('the next', () => bench.mesh.applied.at(-1)?.generation === 6);
  t.deepEqual(bench.mesh.applied.at(-1)?.ingress, ingress);
  await bench.manager.close();
  const mesh = new FakeMesh();
  await bench.restart({ mesh });
  await until('the mesh is set up', () => mesh.applied.length === 1);
  t.deepEqual(mesh.self?.subnet, '10.11.3.0/24');
  t.deepEqual(mesh.ingress, ingress);
  await bench.close();
});

test('A daemon that ends does not wait for a task that stops; the next one stops it', async (t) => {
  const bench = await open(assigning(makeTask('t1'), makeTask('t2')));
  await bench.manager.untilStatus('t1', 'running');
  await bench.manager.untilStatus('t2', 'running');
  for (const id of ['t1', 't2']) bench.runtime.onStop.set(id, () => new Promise(() => {}));
  bench.manager.assign([makeTask('t1', { desired: 'shutdown' })], ['t2']);
  await until('both are being stopped', () => {
    return bench.runtime.calls.filter((call) => call.startsWith('stop')).length === 2;
  });
  bench.manager.onHello = () => {
    bench.manager.welcome();
    bench.manager.assignAll([makeTask('t1', { desired: 'shutdown' })]);
  };
  bench.runtime.onStop.clear();
  bench.runtime.calls.length = 0;
  // Its own calls are over: the engine still has both tasks.
  await bench.agent.close();
  t.deepEqual(bench.runtime.calls, []);
  await bench.restart();
  await bench.manager.untilStatus('t1', 'shutdown');
  await until('t2 is removed', () => bench.runtime.calls.includes('remove t2'));
  await bench.close();
});

test('Remains of unknown tasks in the runtime are removed', async (t) => {
  const bench = await open();
  bench.runtime.tasks.set('stray', { state: 'running', ends: [] });
  await bench.mesh.attach({ taskId: 'stray', netns: '/run/netns/stray', attachments: [] });
  await bench.restart();
  await until('it is removed', () => bench.runtime.calls.includes('remove stray'));
  await until('its host ports are free', () => !bench.mesh.attached.has('stray'));
  t.pass();
  await bench.close();
});

test('Mesh generations are put together, applied and acknowledged', async (t) => {
  const peer = { nodeId: 'n2', index: 4, address: '198.18.0.2', subnet: '10.240.4.0/24' };
  const port = { protocol: 'tcp', publishedPort: 80, serviceId: 's', endpoints: [] } as const;
  const bench = await open((manager) => {
    manager.onHello = () => manager.welcome({ node: MESH_NODE });
  });
  await until('a session', () => bench.agent.connected);
  bench.manager.send({ type: 'mesh', delta: delta(0, 3, { peers: [peer], ports: [port] }) });
  await until('3 is held', () => bench.manager.all('mesh-ack').some((a) => a.generation === 3));
  const other = { ...port, publishedPort: 81 };
  const change = {
    ports: [other],
    removedPorts: [{ protocol: 'tcp' as const, publishedPort: 80 }],
  };
  bench.manager.send({ type: 'mesh', delta: delta(3, 6, change) });
  await until('6 is held', () => bench.manager.all('mesh-ack').some((a) => a.generation === 6));
  t.deepEqual(bench.mesh.applied.at(-1), { generation: 6, peers: [peer], ports: [other] });
  // A reconnect names what the kernel holds, so that only changes have to be sent.
  bench.manager.socket?.terminate();
  await until('a second session', () => bench.manager.hellos.length === 2);
  t.is(bench.manager.hellos[1]?.meshGeneration, 6);
  bench.manager.send({ type: 'mesh', delta: delta(6, 7, { removedPeers: ['n2'] }) });
  await until('7 is held', () => bench.manager.all('mesh-ack').some((a) => a.generation === 7));
  t.deepEqual(bench.mesh.applied.at(-1), { generation: 7, peers: [], ports: [other] });
  await bench.close();
});

test('A mesh generation in pieces reaches the kernel once, whole', async (t) => {
  const port = { protocol: 'tcp', publishedPort: 80, serviceId: 's', endpoints: [] } as const;
  const other = { ...port, publishedPort: 81 };
  const bench = await open((manager) => {
    manager.onHello = () => manager.welcome({ node: MESH_NODE });
  });
  await until('a session', () => bench.agent.connected);
  bench.manager.send({ type: 'mesh', delta: delta(0, 3, { ports: [port] }), more: true });
  bench.manager.send({ type: 'mesh', delta: delta(3, 3, { ports: [other] }) });
  await until('3 is held', () => bench.manager.all('mesh-ack').some((a) => a.generation === 3));
  t.deepEqual(bench.mesh.applied, [{ generation: 3, peers: [], ports: [port, other] }]);
  bench.manager.send({ type: 'mesh', delta: delta(3, 4), more: true });
  bench.manager.send({ type: 'mesh', delta: delta(2, 4) });
  await until('a second session', () => bench.manager.hellos.length === 2);
  await bench.close();
});

test('A node without a data path address starts no mesh, and keeps the one it has', async (t) => {
  const node = makeNode({ Mesh: { Index: 3, Address: '', Subnet: '10.240.3.0/24' } });
  const heard: Node[] = [];
  const bench = await open(
    (manager) => {
      manager.onHello = () => manager.welcome({ node });
    },
    { events: { node: (each) => heard.push(each) } },
  );
  await until('the welcome', () => heard.length === 1);
  t.is(bench.mesh.self, undefined);
  bench.manager.send({ type: 'mesh', delta: delta(0, 7) });
  await until('the ack', () => bench.manager.all('mesh-ack').length === 1);
  t.is(bench.mesh.applied.length, 0, 'it routes by no generation, so nobody waits for it');
  bench.manager.send({ type: 'node', node: MESH_NODE, managers: [] });
  await until('the mesh', () => bench.mesh.applied.at(-1)?.generation === 7);
  bench.manager.send({ type: 'node', node, managers: [] });
  await until('the loss', () => heard.length === 3);
  t.is(bench.mesh.self?.address, '198.18.0.1');
  await bench.close();
});

test('A mesh change whose base is missing opens a session that asks for everything', async (t) => {
  const bench = await open((manager) => {
    manager.onHello = () => manager.welcome({ node: MESH_NODE });
  });
  await until('a session', () => bench.agent.connected);
  bench.manager.send({ type: 'mesh', delta: delta(0, 3) });
  await until('3 is held', () => bench.manager.all('mesh-ack').length > 0);
  bench.manager.send({ type: 'mesh', delta: delta(9, 10) });
  await until('a second session', () => bench.manager.hellos.length === 2);
  t.is(bench.manager.hellos[1]?.meshGeneration, 0);
  await bench.close();
});

test('The mesh serves once the kernel holds the first state of the managers', async (t) => {
  const bench = await open((manager) => {
    manager.onHello = () => manager.welcome({ node: MESH_NODE });
  });
  let serves = false;
  void bench.agent.meshServing.then(() => {
    serves = true;
  });
  await bench.agent.meshStarted;
  let go: (() => void) | undefined;
  bench.mesh.onApply = () =>
    new Promise((resolve) => {
      go = resolve;
    });
  bench.manager.send({ type: 'mesh', delta: delta(0, 3) });
  await until('it is being applied', () => go !== undefined);
  t.false(serves);
  go!();
  await until('3 is held', () => bench.manager.all('mesh-ack').length === 1);
  t.true(serves);
  await bench.close();
});

test('While a generation is applied, those that come meanwhile are skipped but for the last', async (t) => {
  const bench = await open((manager) => {
    manager.onHello = () => manager.welcome({ node: MESH_NODE });
  });
  await until('a session', () => bench.agent.connected);
  let go = (): void => {};
  bench.mesh.onApply = () =>
    new Promise((resolve) => {
      go = resolve;
    });
  for (let at = 1; at <= 5; at += 1) {
    bench.manager.send({ type: 'mesh', delta: delta(at === 1 ? 0 : at - 1, at) });
  }
  bench.manager.assignAll([makeTask('t1')]);
  await bench.manager.untilStatus('t1', 'running');
  bench.mesh.onApply = async () => {};
  go();
  await until('5 is held', () => bench.manager.all('mesh-ack').some((a) => a.generation === 5));
  t.deepEqual(
    bench.mesh.applied.map(({ generation }) => generation),
    [1, 5],
  );
  await bench.close();
});

function logLine(at: number, size = 100): LogLine {
  const timestamp = '2026-01-01T00:00:00.000000000Z';
  return { taskId: 't1', stream: 'stdout', timestamp, data: Buffer.alloc(size, at % 256) };
}

const LOGS = { follow: false, stdout: true, stderr: true, tail: -1 } as const;

test('Logs come in bounded messages, complete, with an end', async (t) => {
  const bench = await open(assigning(makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  bench.runtime.lines = Array.from({ length: 3_000 }, (_, at) => logLine(at));
  bench.manager.send({ type: 'log-subscribe', subscription: 's1', taskIds: ['t1'], options: LOGS });
  await until('the end', () => bench.manager.all('log-end').length === 1);
  t.is(bench.manager.all('log-end')[0]?.error ?? undefined, undefined);
  const messages = bench.manager.all('log');
  t.is(
    messages.reduce((sum, { lines }) => sum + lines.length, 0),
    3_000,
  );
  for (const { lines } of messages) {
    const bytes = lines.reduce((sum, { data }) => sum + data.length, 0);
    t.true(bytes <= LOG_MESSAGE_LIMIT_BYTES);
  }
  await bench.close();
});

test('A reader without credit stops the reading, until it gives more', async (t) => {
  const bench = await open(assigning(makeTask('t1')));
  await bench.manager.untilStatus('t1', 'running');
  bench.runtime.lines = Array.from({ length: 3_000 }, (_, at) => logLine(at));
  bench.manager.send({
    type: 'log-subscribe',
    subscription: 's1',
    taskIds: ['t1'],
    options: LOGS,
    creditBytes: 1,
  });
  await until('the first message', () => bench.manager.all('log').length === 1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.is(bench.manager.all('log').length, 1);
  bench.manager.send({ type: 'log-credit', subscription: 's1', bytes: 2 ** 30 });
  await until('the end', () => bench.manager.all('log-end').length === 1);
  await bench.close();
});

test('Logs of a task that is not on this node end with the reason', async (t) => {
  const bench = await open();
  await until('a session', () => bench.agent.connected);
  bench.manager.send({ type: 'log-subscribe', subscription: 's1', taskIds: ['tx'], options: LOGS });
  await until('the end', () => bench.manager.all('log-end').length === 1);
  t.regex(bench.manager.all('log-end')[0]?.error ?? '', /tx is not on this node/);
  await bench.close();
});

test('A changed description is reported', async (t) => {
  const bench = await open();
  await until('a session', () => bench.agent.connected);
  bench.agent.describe({ Hostname: 'renamed' });
  await until('it is told', () => bench.manager.all('description').length === 1);
  const [message] = bench.manager.all('description') as Extract<
    AgentMessage,
    { type: 'description' }
  >[];
  t.is(message?.description.Hostname, 'renamed');
  await bench.close();
});

test('A daemon that is a copy says so, and tries again without haste', async (t) => {
  const copied: string[] = [];
  const failed: string[] = [];
  const bench = await open(
    (manager) => {
      manager.onHello = () =>
        manager.send({ type: 'session-end', reason: 'a copy', fatal: false, isCopy: true });
    },
    {
      events: {
        copied: (reason) => copied.push(reason),
        failed: (reason, manager) => failed.push(`${manager?.address}: ${reason}`),
      },
    },
  );
  await until('the refusal', () => failed.length > 0);
  t.is(bench.manager.hellos[0]?.instance, 'run1');
  t.deepEqual(copied, ['a copy']);
  t.deepEqual(failed, [`${bench.manager.address.address}: the manager ended the session: a copy`]);
  t.is(bench.manager.hellos.length, 1);
  await bench.close();
});
