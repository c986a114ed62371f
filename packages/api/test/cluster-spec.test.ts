import test from 'ava';
import { clusterDefaults } from '../src/defaults/cluster.js';
import { decodeClusterSpec, decodeInitRequest } from '../src/validate/cluster-spec.js';

test('what a client leaves out or sends as zero keeps its value', (t) => {
  const base = { ...clusterDefaults(), Dispatcher: { HeartbeatPeriod: 3e9 } };
  const spec = decodeClusterSpec(
    { Raft: { ElectionTick: 0 }, Dispatcher: {}, CAConfig: null },
    base,
  );
  t.deepEqual(spec, base);
});

test('the spec of init is checked and its errors name the path', (t) => {
  t.throws(() => decodeInitRequest({ Spec: { Raft: { SnapshotInterval: 'x' } } }), {
    message: /^Spec\.Raft\.SnapshotInterval: must be a whole number/,
  });
  t.throws(() => decodeInitRequest({ DataPathPort: 80 }), { message: /between 1024 and 49151/ });
  t.throws(() => decodeInitRequest({ AutoLockManagers: true }), { message: /autolock/ });
  t.throws(() => decodeInitRequest({ Availability: 'never' }), { message: /invalid Availability/ });
  t.is(decodeInitRequest({}).spec.Dispatcher.HeartbeatPeriod, 1e9);
});

test('a cluster spec that breaks a rule is refused', (t) => {
  for (const [body, message] of [
    [{ Dispatcher: { HeartbeatPeriod: 1 } }, /between 100ms and 1h/],
    [{ CAConfig: { NodeCertExpiry: 1 } }, /1h0m0s/],
    [{ Raft: { ElectionTick: 99 } }, /Raft\.ElectionTick: cannot be changed/],
    [{ Raft: { KeepOldSnapshots: 3 } }, /old snapshots/],
    [{ CAConfig: { ForceRotate: 1 } }, /root certificate/],
  ] as const) {
    t.throws(() => decodeClusterSpec(body), { message });
  }
});
