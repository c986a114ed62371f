import test from 'ava';
import { HostTools } from '../src/runtime/process/host-tools.js';
import { planTask } from '../src/runtime/process/process-plan.js';
import { makeTask, NODE_FACTS, type TaskWishes } from './support/make-task.js';

function plan(wishes: TaskWishes, daemonOomScore: number) {
  return planTask(makeTask('t1', wishes), {
    node: NODE_FACTS,
    tools: new HostTools(),
    accounts: () => ({ passwd: '', group: '', subuid: '', subgid: '' }),
    privileged: true,
    bootId: 'boot',
    sandbox: { id: 't1', bootId: 'boot' },
    daemonOomScore,
    takeUid: () => 2_100_000_001,
  });
}

test('A daemon that the kernel spares does not have its tasks spared as well', (t) => {
  t.is(plan({}, 0).oomScoreAdj, undefined);
  t.is(plan({}, 200).oomScoreAdj, undefined, 'what is inherited cannot be lowered everywhere');
  t.is(plan({}, -500).oomScoreAdj, 0);
  t.is(plan({ container: { OomScoreAdj: 7 } }, -500).oomScoreAdj, 7);
});

test('A task that asks for no user gets one of its own, and its home is its own folder', (t) => {
  const { user, env } = plan({}, 0);
  t.deepEqual(user, { uid: 2_100_000_001, gid: 2_100_000_001, groups: [], home: '/tmp' });
  t.is(env.HOME, '/tmp');
});

test('A limit is known by its whole name alone', (t) => {
  const limits = (Name: string) =>
    plan({ container: { Ulimits: [{ Name, Soft: 9, Hard: 9 }] } }, 0);
  t.true(limits('nofile').wrappers.includes('--nofile=9:9'));
  for (const name of ['rtpri', 'nic', 'NICE', 'pid', ''])
    t.throws(() => limits(name), { message: /Ulimits/ }, name);
});
