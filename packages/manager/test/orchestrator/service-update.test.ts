import { ApiError, type Service, type ServiceSpec, withDefaults } from '@swarm/api';
import test from 'ava';
import {
  planServiceUpdate,
  resumeService,
  type ServiceUpdateOptions,
  writeServiceUpdate,
} from '../../src/orchestrator/service-update.js';
import type { Draft } from '../../src/store/store.js';
import { put, serviceDraft } from '../support/objects.js';
import { createTestStore, type TestStore } from '../support/test-store.js';

interface Setup {
  readonly store: TestStore;
  update(change: Partial<ServiceSpec>, options?: Partial<ServiceUpdateOptions>): Promise<Service>;
}

async function setup(
  patch: Partial<Draft<'service'>> = {},
  spec: Partial<ServiceSpec> = {},
): Promise<Setup> {
  const store = createTestStore();
  await put(store, 'service', serviceDraft('web', patch, spec));
  return {
    store,
    async update(change, options = {}) {
      await store.transact((tx) => {
        const service = tx.get('service', 'web') as Service;
        const plan = planServiceUpdate(
          tx,
          service,
          { ...service.Spec, ...change },
          {
            nowMs: store.timeMs(),
            ...options,
          },
        );
        writeServiceUpdate(tx, plan);
      });
      return store.get('service', 'web') as Service;
    },
  };
}

const image = (Image: string) => ({ TaskTemplate: { ContainerSpec: { Image }, ForceUpdate: 0 } });
const completed = { UpdateStatus: { State: 'completed', Message: 'update completed' } } as const;
const updating = {
  UpdateStatus: {
    State: 'updating',
    Message: 'update in progress',
    StartedAt: '2026-01-01T00:00:00.000Z',
  },
} as const;

test('a change of what tasks are made of is a revision with a version of its own, and starts afresh', async (t) => {
  const { store, update } = await setup(completed);
  const before = store.get('service', 'web')!;
  const after = await update(image('v2'));
  t.deepEqual(after.SpecVersion, before.Version);
  t.is(after.UpdateStatus, undefined);
  t.deepEqual(after.Revisions, { Current: 2, Completed: 1, Last: 2 });
  t.is(after.PreviousSpec, undefined, 'the revision has it');
  const [first, second] = [...store.revisionsByService('web')];
  t.like(first, { Number: 1, Cause: 'create', Outcome: 'completed', SpecVersion: { Index: 1 } });
  t.deepEqual(first?.Spec, before.Spec);
  t.like(second, { Number: 2, Cause: 'update', SpecVersion: after.SpecVersion });
  t.is(second?.Outcome, undefined, 'its roll-out is under way');
});

test('number, labels and settings do not touch a roll-out that is under way', async (t) => {
  const { update } = await setup(updating);
  const { SpecVersion } = await update({ Mode: { Replicated: { Replicas: 7 } } });
  const settings = await update({ UpdateConfig: { Parallelism: 3 } });
  t.is(settings.Revisions, undefined, 'they make no revision');
  const labels = await update({ Labels: { a: 'b' } });
  t.deepEqual(labels.UpdateStatus, updating.UpdateStatus);
  t.deepEqual(labels.SpecVersion, SpecVersion);
  t.deepEqual(labels.Revisions, { Current: 2, Last: 2 }, 'labels do make one');
});

test('the same in other words is no change: a roll-out under way goes on, and no revision begins', async (t) => {
  const template = (Env: string[], Image = 'v1') => ({
    TaskTemplate: { ContainerSpec: { Image, Env }, ForceUpdate: 0 },
  });
  const { store, update } = await setup(updating, template(['A=1', 'B=2']));
  const { SpecVersion } = store.get('service', 'web')!;
  const words = [
    withDefaults(store.get('service', 'web')!.Spec),
    template(['B=2', 'A=1'], 'v1:latest'),
  ];
  for (const same of words) {
    const service = await update(same);
    t.deepEqual(service.SpecVersion, SpecVersion);
    t.deepEqual(service.UpdateStatus, updating.UpdateStatus);
    t.is(store.count('revision'), 0);
  }
  t.deepEqual(store.get('service', 'web')?.Spec.TaskTemplate.ContainerSpec?.Env, ['B=2', 'A=1']);
});

test('how tasks stop and restart is a revision of its own, for which no task has to change', async (t) => {
  const { store, update } = await setup(completed, image('v1'));
  const { SpecVersion, Spec } = store.get('service', 'web')!;
  for (const change of [
    { ContainerSpec: { Image: 'v1', StopGracePeriod: 60e9 } },
    { ContainerSpec: { Image: 'v1', StopGracePeriod: 60e9, StopSignal: 'SIGINT' } },
    {
      ContainerSpec: { Image: 'v1', StopGracePeriod: 60e9, StopSignal: 'SIGINT' },
      RestartPolicy: { Condition: 'none' as const },
    },
  ]) {
    const before = store.get('service', 'web')?.Revisions?.Last ?? 1;
    const service = await update({ TaskTemplate: { ...Spec.TaskTemplate, ...change } });
    t.deepEqual(service.SpecVersion, SpecVersion);
    t.is(service.Revisions?.Last, before + 1);
    t.is(service.Revisions?.Completed, before + 1, 'a rollback undoes just this');
  }
});

test('what has ended is not shown as the end of a later change', async (t) => {
  const { update } = await setup(completed);
  t.is((await update({ Mode: { Replicated: { Replicas: 7 } } })).UpdateStatus, undefined);
});

test('a rollback goes to the revision that completed last, with number and settings as they are', async (t) => {
  const { store, update } = await setup(completed, { ...image('v1'), Labels: { old: 'yes' } });
  await update({ ...image('v2'), Labels: { old: 'no' } });
  await update({ Mode: { Replicated: { Replicas: 5 } }, RollbackConfig: { Parallelism: 4 } });
  const back = await update({}, { rollback: 'previous' });
  t.is(back.Spec.TaskTemplate.ContainerSpec?.Image, 'v1');
  t.deepEqual(back.Spec.Labels, { old: 'yes' });
  t.is(back.Spec.Mode.Replicated?.Replicas, 5);
  t.is(back.Spec.RollbackConfig?.Parallelism, 4);
  t.deepEqual(back.SpecVersion, { Index: 1 });
  t.like(back.UpdateStatus, { State: 'rollback_started', Message: 'manually requested rollback' });
  t.deepEqual(back.Revisions, { Current: 1, Completed: 1, Last: 2 });
  t.is(store.get('revision', 'web-2')?.Outcome, 'replaced');
  t.is(store.get('revision', 'web-1')?.Cause, 'rollback');
});

test('impossible updates are refused with their error codes', async (t) => {
  const { update } = await setup();
  const refused = async (change: () => Promise<unknown>) => {
    const error = await t.throwsAsync(change, { instanceOf: ApiError });
    return (error as ApiError).code;
  };
  t.is(await refused(() => update({}, { rollback: 'previous' })), 'FAILED_PRECONDITION');
  t.is(await refused(() => update({}, { rollback: 7 })), 'NOT_FOUND');
  t.is(await refused(() => update({}, { rollback: 1 })), 'FAILED_PRECONDITION', 'it is there');
  t.is(await refused(() => update({ Name: 'other' })), 'UNIMPLEMENTED');
  t.is(await refused(() => update({ Mode: { Global: {} } })), 'UNIMPLEMENTED');
  const leaving = await setup({ PendingDelete: true });
  t.is(await refused(() => leaving.update({})), 'FAILED_PRECONDITION');
  t.throws(() => resumeService(leaving.store.get('service', 'web')!, 0));
});

test('resuming starts a fresh count, and is refused when nothing is paused', async (t) => {
  const { store } = await setup({ UpdateStatus: { State: 'rollback_paused', Message: 'why' } });
  const service = store.get('service', 'web')!;
  t.deepEqual(resumeService(service, Date.UTC(2026, 0, 2)).UpdateStatus, {
    State: 'rollback_started',
    StartedAt: '2026-01-02T00:00:00.000Z',
    Message: 'rollback in progress',
  });
  const error = t.throws(() => resumeService({ ...service, ...updating }, 0));
  t.is((error as ApiError).code, 'FAILED_PRECONDITION');
});

test('every update of a job starts a new iteration', async (t) => {
  const { update } = await setup({}, { Mode: { ReplicatedJob: {} } });
  const once = await update({ Labels: { a: 'b' } });
  t.is(once.JobStatus?.JobIteration.Index, 1);
  t.truthy(once.JobStatus?.LastExecution);
  t.is((await update({})).JobStatus?.JobIteration.Index, 2);
  await update(image('v2'));
  const back = await update({}, { rollback: 'previous' });
  t.is(back.JobStatus?.JobIteration.Index, 4);
  t.is(back.UpdateStatus, undefined, 'a job is run again, not rolled out');
});

test('a service from before there were revisions gets them from what it has', async (t) => {
  const { Spec: PreviousSpec } = serviceDraft('web', {}, image('v1'));
  const before = { PreviousSpec, PreviousSpecVersion: { Index: 1 }, SpecVersion: { Index: 2 } };
  const { store, update } = await setup(before, image('v2'));
  const back = await update({}, { rollback: 'previous' });
  t.is(back.Spec.TaskTemplate.ContainerSpec?.Image, 'v1');
  t.is(back.PreviousSpec, undefined);
  t.deepEqual(back.Revisions, { Current: 1, Completed: 1, Last: 2 });
  t.deepEqual(
    [...store.revisionsByService('web')].map(({ Spec }) => Spec.TaskTemplate.ContainerSpec?.Image),
    ['v1', 'v2'],
  );
});

test('ten revisions are kept, besides the current one and what a rollback needs', async (t) => {
  const { store, update } = await setup(completed, image('v1'));
  for (let number = 2; number <= 13; number++) await update(image(`v${number}`));
  const numbers = () =>
    [...store.revisionsByService('web')].map((one) => one.Number).sort((a, b) => a - b);
  t.deepEqual(numbers(), [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], 'none since 1 completed');
  t.is((await update({}, { rollback: 'previous' })).Revisions?.Current, 1);
  t.is((await update(image('v14'))).Revisions?.Last, 14);
  t.deepEqual(numbers(), [1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
});

test('an unreadable revision stops no update, and no rollback to another one', async (t) => {
  const { store, update } = await setup(completed, image('v1'));
  await update(image('v2'));
  const { Version, CreatedAt: _c, UpdatedAt: _u, ...body } = store.get('revision', 'web-2')!;
  const Spec = { ...body.Spec, Mode: 7 };
  await store.inject({
    action: 'update',
    kind: 'revision',
    body: { ...body, Spec } as never,
    expected: Version.Index,
  });
  t.truthy(store.setAside('revision', 'web-2'));
  t.is((await update(image('v3'))).Revisions?.Current, 3);
  t.is((await update({}, { rollback: 'previous' })).Spec.TaskTemplate.ContainerSpec?.Image, 'v1');
});
