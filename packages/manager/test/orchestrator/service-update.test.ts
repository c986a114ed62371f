import { ApiError, type Service } from '@swarm/api';
import test from 'ava';
import { applyServiceUpdate } from '../../src/orchestrator/service-update.js';
import { serviceDraft } from '../support/objects.js';

const NOW = Date.UTC(2026, 0, 1);
const service: Service = {
  ...serviceDraft('web', { UpdateStatus: { State: 'completed', Message: 'update completed' } }),
  Version: { Index: 42 },
  CreatedAt: '',
  UpdatedAt: '',
};
const spec = { ...service.Spec, Labels: { new: 'yes' } };

test('an update keeps the previous spec, gets a version of its own and starts afresh', (t) => {
  const updated = applyServiceUpdate(service, spec, { nowMs: NOW });
  t.deepEqual(updated.Spec, spec);
  t.deepEqual(updated.PreviousSpec, service.Spec);
  t.deepEqual(updated.SpecVersion, { Index: 42 });
  t.deepEqual(updated.PreviousSpecVersion, { Index: 1 });
  t.is(updated.UpdateStatus, undefined);
});

test('a rollback swaps both specs and both versions; a second one swaps them back', (t) => {
  const updated = applyServiceUpdate(service, spec, { nowMs: NOW });
  const back = applyServiceUpdate(updated, spec, { rollback: 'previous', nowMs: NOW });
  t.deepEqual([back.Spec, back.PreviousSpec], [service.Spec, spec]);
  t.deepEqual([back.SpecVersion, back.PreviousSpecVersion], [{ Index: 1 }, { Index: 42 }]);
  t.deepEqual(back.UpdateStatus, {
    State: 'rollback_started',
    StartedAt: '2026-01-01T00:00:00.000Z',
    Message: 'manually requested rollback',
  });
  const again = applyServiceUpdate(back, spec, { rollback: 'previous', nowMs: NOW });
  t.deepEqual(again.Spec, spec);
});

test('impossible updates are refused with their error codes', (t) => {
  const refused = (change: () => unknown) => {
    const error = t.throws(change, { instanceOf: ApiError });
    return (error as ApiError).code;
  };
  t.is(
    refused(() => applyServiceUpdate(service, spec, { rollback: 'previous', nowMs: NOW })),
    'FAILED_PRECONDITION',
  );
  t.is(
    refused(() => applyServiceUpdate(service, { ...spec, Name: 'other' }, { nowMs: NOW })),
    'UNIMPLEMENTED',
  );
  t.is(
    refused(() => applyServiceUpdate(service, { ...spec, Mode: { Global: {} } }, { nowMs: NOW })),
    'UNIMPLEMENTED',
  );
  const leaving = { ...service, PendingDelete: true };
  t.is(
    refused(() => applyServiceUpdate(leaving, spec, { nowMs: NOW })),
    'FAILED_PRECONDITION',
  );
});

test('every update of a job starts a new iteration', (t) => {
  const job: Service = { ...service, Spec: { ...service.Spec, Mode: { ReplicatedJob: {} } } };
  const once = applyServiceUpdate(job, { ...job.Spec, Labels: { a: 'b' } }, { nowMs: NOW });
  t.deepEqual(once.JobStatus, {
    JobIteration: { Index: 1 },
    LastExecution: '2026-01-01T00:00:00.000Z',
  });
  const twice = applyServiceUpdate(once, once.Spec, { nowMs: NOW });
  t.is(twice.JobStatus?.JobIteration.Index, 2);
});
