import test from 'ava';
import { ingressDraft, nodeDraft, patch, put, serviceDraft } from '../support/objects.js';
import {
  type TestAgent,
  helloOf,
  PORT,
  putTasks,
  servingTask,
  told,
  DispatcherWorld,
} from './harness.js';

const MESH = { Index: 1, Address: '198.18.0.7', Subnet: '10.240.1.0/24' };

/** Two nodes, one service, one serving task on n1. */
async function world(t: Parameters<typeof DispatcherWorld.create>[0]) {
  const made = await DispatcherWorld.create(t);
  await put(made.store, 'network', ingressDraft());
  for (const id of ['n1', 'n2']) await put(made.store, 'node', nodeDraft(id, { Mesh: MESH }));
  const Endpoint = { Spec: {}, Ports: [PORT] };
  await put(made.store, 'service', serviceDraft('service', { Endpoint }));
  await put(made.store, 'task', servingTask('task', 'n1'));
  return made;
}

function shutDown(made: DispatcherWorld, id = 'task') {
  return patch(made.store, 'task', id, (task) => ({ ...task, DesiredState: 'shutdown' }));
}

/** What the agent was told to do with the task last. */
function desired(agent: TestAgent, id = 'task') {
  return putTasks(...agent.assignments()).findLast((task) => task.ID === id)?.DesiredState;
}

/** Time for the mesh to be published and assignments to be sent. */
async function settle(made: DispatcherWorld, agents: readonly TestAgent[]) {
  await made.clock.advance(20);
  for (const agent of agents) await made.roundTrip(agent);
}

test('an endpoint is told to stop only after every node acknowledged a mesh without it', async (t) => {
  const made = await world(t);
  made.dispatcher.start();
  const [one, two] = [await made.join('n1'), await made.join('n2')];
  t.is(two.of('mesh')[0]?.delta.ports[0]?.endpoints.length, 1);
  await settle(made, [one, two]);
  two.acks = false;
  await shutDown(made);
  await settle(made, [one, two]);
  const { delta } = two.of('mesh').at(-1)!;
  t.deepEqual(delta.ports[0]?.endpoints, []);
  t.is(delta.base, two.of('mesh')[0]!.delta.generation);
  await made.clock.advance(500);
  await made.roundTrip(one);
  t.is(desired(one), 'running');
  two.send({ type: 'mesh-ack', generation: delta.generation });
  await made.until(() => desired(one) === 'shutdown', 'the order to stop');
});

test('a task that never was an endpoint is told to stop at once', async (t) => {
  const made = await world(t);
  await put(made.store, 'task', servingTask('starting', 'n1', 'starting'));
  made.dispatcher.start();
  const [one, two] = [await made.join('n1'), await made.join('n2')];
  two.acks = false;
  await shutDown(made, 'starting');
  await settle(made, [one]);
  t.is(desired(one, 'starting'), 'shutdown');
});

test('a task that left the mesh a moment ago waits for that generation too', async (t) => {
  const made = await world(t);
  made.dispatcher.start();
  const [one, two] = [await made.join('n1'), await made.join('n2')];
  await settle(made, [one, two]);
  two.acks = false;
  await patch(made.store, 'task', 'task', (task) => ({
    ...task,
    Status: { ...task.Status, Ready: false },
  }));
  await settle(made, [one, two]);
  await shutDown(made);
  await settle(made, [one]);
  t.is(desired(one), 'running');
  two.send({ type: 'mesh-ack', generation: two.of('mesh').at(-1)!.delta.generation });
  await made.until(() => desired(one) === 'shutdown', 'the order to stop');
});

test('a node that does not acknowledge holds a task for five seconds at most', async (t) => {
  const made = await world(t);
  made.dispatcher.start();
  const [one, two] = [await made.join('n1'), await made.join('n2')];
  await settle(made, [one, two]);
  two.acks = false;
  await shutDown(made);
  await made.pass(4_900, [one, two]);
  t.is(desired(one), 'running');
  await made.pass(200, [one, two]);
  t.is(desired(one), 'shutdown');
});

test('nobody waits for a node that is down', async (t) => {
  const made = await world(t);
  made.dispatcher.start();
  const [one, two] = [await made.join('n1'), await made.join('n2')];
  await settle(made, [one, two]);
  two.acks = false;
  two.vanish();
  await made.until(() => !made.dispatcher.isConnected('n2'), 'the end of the session');
  await shutDown(made);
  await made.pass(2_900, [one]);
  t.is(desired(one), 'running');
  await made.pass(200, [one]);
  t.is(made.state('n2'), 'down');
  await made.until(() => desired(one) === 'shutdown', 'the order to stop');
});

test('a removed endpoint is taken from its agent only after the acknowledgements', async (t) => {
  const made = await world(t);
  made.dispatcher.start();
  const [one, two] = [await made.join('n1'), await made.join('n2')];
  await settle(made, [one, two]);
  two.acks = false;
  await made.store.transact((transaction) => transaction.remove('task', 'task'));
  await settle(made, [one, two]);
  t.deepEqual(
    told(...one.assignments()).filter((change) => change.startsWith('remove')),
    [],
  );
  two.send({ type: 'mesh-ack', generation: two.of('mesh').at(-1)!.delta.generation });
  await made.until(
    () => told(one.assignments().at(-1)!).includes('remove task task'),
    'the removal',
  );
});

test('after a failover a held task is named as running, and stops when all came back', async (t) => {
  const made = await world(t);
  await shutDown(made);
  made.dispatcher.start();
  const one = await made.join('n1', { meshGeneration: 1 });
  t.deepEqual(
    putTasks(one.assignments()[0]!).map((task) => task.ID),
    ['task'],
  );
  t.is(desired(one), 'running');
  await settle(made, [one]);
  t.is(desired(one), 'running');
  await made.join('n2');
  await made.until(() => desired(one) === 'shutdown', 'the order to stop');
});

test('after a failover nobody waits longer than the limit', async (t) => {
  const made = await world(t);
  await shutDown(made);
  made.dispatcher.start();
  const one = await made.join('n1');
  await made.pass(5_100, [one]);
  t.is(desired(one), 'shutdown');
});

test('an agent that has a known generation gets what changed since, others get all', async (t) => {
  const made = await world(t);
  made.dispatcher.start();
  const one = await made.join('n1');
  const { generation } = one.of('mesh')[0]!.delta;
  await shutDown(made);
  await settle(made, [one]);
  const back = await made.join('n1', { meshGeneration: generation });
  t.is(back.of('mesh')[0]?.delta.base, generation);
  t.deepEqual(back.of('mesh')[0]?.delta.peers, []);
  const restored = await made.connect('n2');
  restored.send(helloOf({ meshGeneration: 1_000_000 }));
  t.is((await restored.next('mesh')).delta.base, 0);
});

test('an agent that does not acknowledge is sent few generations, then one for all', async (t) => {
  const made = await world(t);
  made.dispatcher.start();
  const one = await made.join('n1');
  await made.roundTrip(one);
  one.acks = false;
  for (let count = 0; count < 30; count += 1) {
    const Ready = count % 2 === 1;
    await patch(made.store, 'task', 'task', (task) => ({
      ...task,
      Status: { ...task.Status, Ready },
    }));
    await made.clock.advance(5);
  }
  await made.roundTrip(one);
  t.is(one.of('mesh').length, 1 + 8);
  one.send({ type: 'mesh-ack', generation: one.of('mesh').at(-1)!.delta.generation });
  await made.until(() => one.of('mesh').length === 10, 'the last generation');
  await made.roundTrip(one);
  t.is(one.of('mesh').length, 10);
});
