import {
  SERVICE_SPEC_LIMIT_BYTES,
  type ServiceSpec,
  SECOND,
  type Task,
  type UpdateConfig,
} from '@swarm/api';
import test from 'ava';
import { OrchestratorWorld } from './world.js';

const isBad = (task: Task) => task.Spec.ContainerSpec?.Image?.startsWith('bad') === true;
const all = (image: string, count: number) => Array.from({ length: count }, () => image);

async function started(update?: UpdateConfig, rollback?: UpdateConfig): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  world.behaviour = (task) => (isBad(task) ? { end: 'failed', endAfterMs: 500 } : {});
  await world.nodes('n1', 'n2');
  await world.service({
    Mode: { Replicated: { Replicas: 4 } },
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'any', Delay: SECOND },
    },
    ...(update !== undefined && { UpdateConfig: update }),
    ...(rollback !== undefined && { RollbackConfig: rollback }),
  });
  await world.start();
  return world;
}

/** Started long enough ago that its first roll-out is over. */
async function running(update?: UpdateConfig, rollback?: UpdateConfig): Promise<OrchestratorWorld> {
  const world = await started(update, rollback);
  await world.clock.advance(20_000);
  return world;
}

const toImage = (Image: string, update: UpdateConfig) => (spec: ServiceSpec) => ({
  ...spec,
  UpdateConfig: update,
  TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image } },
});

test('after a bad update and a scale, a rollback goes to the good spec with the new number', async (t) => {
  const world = await running();
  await world.image('bad');
  await world.clock.advance(20_000);
  t.is(world.state(), 'paused');
  await world.replicas(6);
  await world.clock.advance(20_000);
  await world.rollBack();
  await world.clock.advance(60_000);
  t.is(world.state(), 'rollback_completed');
  t.deepEqual(world.images(), all('v1', 6));
  t.is(world.store.get('service', 'web')?.Revisions?.Current, 1);
  await world.stop();
});

test('of two bad updates in a row, the second with the action rollback goes back to the good spec', async (t) => {
  const world = await running();
  await world.image('bad');
  await world.clock.advance(20_000);
  t.is(world.state(), 'paused');
  await world.update(toImage('bad2', { Parallelism: 1, FailureAction: 'rollback' }));
  await world.clock.advance(60_000);
  t.is(world.state(), 'rollback_completed');
  t.deepEqual(world.images(), all('v1', 4));
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 bad failed', '3 bad2 failed']);
  await world.rollBack().catch(() => {});
  t.is(world.state(), 'rollback_completed', 'there is nothing good to go to');
  await world.stop();
});

test('an automatic rollback goes past a bad spec that was scaled and labelled', async (t) => {
  const world = await running({ Parallelism: 1, FailureAction: 'rollback' });
  await world.image('bad');
  await world.clock.advance(300);
  t.is(world.state(), 'updating');
  await world.replicas(5);
  await world.update((spec) => ({ ...spec, Labels: { a: 'b' } }));
  t.is(world.state(), 'updating', 'the same roll-out goes on');
  await world.clock.advance(60_000);
  t.is(world.state(), 'rollback_completed');
  t.deepEqual(world.images(), all('v1', 5));
  await world.stop();
});

test('an automatic rollback goes past a labelled bad spec when nothing has completed yet', async (t) => {
  const world = await started({ Parallelism: 1, FailureAction: 'rollback' });
  await world.clock.advance(2_000);
  await world.image('bad');
  await world.clock.advance(300);
  await world.update((spec) => ({ ...spec, Labels: { a: 'b' } }));
  await world.clock.advance(60_000);
  t.is(world.state(), 'rollback_completed');
  t.is(world.store.get('service', 'web')?.Revisions?.Current, 1);
  t.deepEqual(world.images(), all('v1', 4));
  await world.stop();
});

test('an automatic rollback does not bring back a port that the cluster needs', async (t) => {
  const world = await running({ Parallelism: 1, FailureAction: 'rollback' });
  // As an earlier version let it be stored.
  const Ports = [
    { Protocol: 'tcp', TargetPort: 80, PublishedPort: 2377, PublishMode: 'ingress' },
  ] as const;
  await world.update((spec) => ({ ...spec, EndpointSpec: { Mode: 'vip', Ports } }));
  await world.clock.advance(60_000);
  t.is(world.state(), 'completed');
  await world.update(({ EndpointSpec: _, ...spec }) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image: 'bad' } },
  }));
  await world.clock.advance(60_000);
  t.is(world.state(), 'paused');
  const { UpdateStatus } = world.store.get('service', 'web')!;
  t.regex(
    UpdateStatus?.Message ?? '',
    /it cannot be rolled back to revision 2: port '2377' \(tcp\) belongs to the cluster/,
  );
  await world.stop();
});

test('a service with the longest spec rolls out and back', async (t) => {
  const world = await running({ Parallelism: 0, FailureAction: 'rollback' });
  const Env = [`A=${'x'.repeat(SERVICE_SPEC_LIMIT_BYTES)}`];
  const large = (Image: string) => (spec: ServiceSpec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image, Env } },
  });
  await world.update(large('v2'));
  await world.clock.advance(60_000);
  t.is(world.state(), 'completed');
  await world.replicas(12);
  await world.clock.advance(20_000);
  await world.update(large('bad'));
  await world.clock.advance(60_000);
  t.is(world.state(), 'rollback_completed');
  t.deepEqual(world.images(), all('v2', 12));
  await world.stop();
});

test('settings changed in the middle of a rollback hold for it, and do not end it', async (t) => {
  const world = await running(undefined, { Parallelism: 1, Delay: 60 * SECOND });
  await world.image('v2');
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), all('v2', 4));
  await world.rollBack();
  await world.clock.advance(10_000);
  t.deepEqual(world.images().sort(), ['v1', 'v2', 'v2', 'v2'], 'the delay is long');
  const started = world.store.get('service', 'web')?.UpdateStatus?.StartedAt;
  await world.update((spec) => ({ ...spec, RollbackConfig: { Parallelism: 1, Delay: 0 } }));
  t.is(world.state(), 'rollback_started');
  await world.clock.advance(5000);
  t.deepEqual(world.images(), all('v1', 4));
  t.is(world.store.get('service', 'web')?.UpdateStatus?.StartedAt, started);
  await world.clock.advance(10_000);
  t.is(world.state(), 'rollback_completed');
  const causes = async (label: string) => {
    await world.update((spec) => ({ ...spec, Labels: { label } }));
    return [...world.store.revisionsByService('web')].map(({ Cause }) => Cause);
  };
  t.deepEqual(await causes('after'), ['rollback', 'update', 'update']);
  await world.rollBack(2);
  await world.clock.advance(1000);
  t.deepEqual(await causes('during'), ['rollback', 'rollback', 'update', 'rollback']);
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), all('v2', 4), 'what it went back from is not lost');
  await world.stop();
});

test('a rollback to a number goes there, and a second rollback returns', async (t) => {
  const world = await running();
  for (const image of ['v2', 'v3']) {
    await world.image(image);
    await world.clock.advance(60_000);
    t.is(world.state(), 'completed');
  }
  await world.rollBack(1);
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), all('v1', 4));
  await world.rollBack();
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), all('v3', 4));
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 v2 completed', '3 v3 completed']);
  await world.stop();
});

test('a rollback of labels alone is over at once and replaces no task', async (t) => {
  const world = await running();
  const before = world.up().map(({ ID }) => ID);
  await world.update((spec) => ({ ...spec, Labels: { a: 'b' } }));
  await world.clock.advance(20_000);
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 v1 completed']);
  await world.rollBack();
  await world.clock.advance(1000);
  t.deepEqual(world.store.get('service', 'web')?.Spec.Labels, {});
  t.is(world.state(), 'rollback_completed');
  t.deepEqual(
    world.up().map(({ ID }) => ID),
    before,
  );
  await world.stop();
});

test('an update that never worked but was told to continue is nothing to fall back to', async (t) => {
  const world = await running({ Parallelism: 0, FailureAction: 'continue' });
  await world.image('bad');
  await world.clock.advance(60_000);
  t.is(world.state(), 'completed');
  await world.update(toImage('bad2', { Parallelism: 0, FailureAction: 'rollback' }));
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), all('v1', 4));
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 bad replaced', '3 bad2 failed']);
  await world.stop();
});

test('a service from before there were revisions rolls back by itself to its previous spec', async (t) => {
  const world = await running();
  const { Spec: PreviousSpec, SpecVersion: PreviousSpecVersion } = world.store.get(
    'service',
    'web',
  )!;
  await world.update(toImage('bad', { Parallelism: 1, FailureAction: 'rollback' }));
  await world.store.transact((tx) => {
    for (const { ID } of [...tx.revisionsByService('web')]) tx.remove('revision', ID);
    const { Revisions: _, ...service } = tx.get('service', 'web')!;
    tx.update('service', { ...service, PreviousSpec, PreviousSpecVersion });
  });
  await world.clock.advance(60_000);
  t.is(world.state(), 'rollback_completed');
  t.deepEqual(world.images(), all('v1', 4));
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 bad failed']);
  await world.stop();
});

test('a removed service takes its revisions with it, in bounded transactions', async (t) => {
  const world = await running({ Parallelism: 0 });
  for (let number = 2; number <= 12; number++) {
    await world.image(`v${number}`);
    await world.clock.advance(10_000);
  }
  t.is(world.store.count('revision'), 10);
  const changes = world.store.record();
  await world.store.transact((tx) =>
    tx.update('service', { ...tx.get('service', 'web')!, PendingDelete: true }),
  );
  await world.clock.advance(60_000);
  t.is(world.store.get('service', 'web'), undefined);
  t.is(world.store.count('revision'), 0);
  const most = Math.max(...changes.map(({ events }) => events.length));
  t.true(most <= 200, `${most}`);
  await world.stop();
});
