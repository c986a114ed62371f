import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ApiError, newRaftId } from '@swarm/api';
import type { Store } from '@swarm/manager';
import test from 'ava';
import { certificateSubject, createKeyRequest, requestCertificate } from '@swarm/identity';
import { put, serviceDraft } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import { NodeFiles } from '../src/files/node-files.js';
import { freePort, testNode, tokenOf } from './support/nodes.js';

test('a node that bootstrapped a cluster is a manager, and is one again after a restart', async (t) => {
  const node = await testNode(t);
  t.is(node.daemon.info().state, 'inactive');
  const nodeId = await node.init();
  t.is(node.daemon.info().state, 'active');
  t.true(node.daemon.info().controlAvailable);
  t.deepEqual(node.daemon.info().remoteManagers, [{ nodeId, address: node.address }]);
  const again = await node.restart();
  t.is(again.daemon.info().nodeId, nodeId);
  t.true(again.daemon.info().controlAvailable);
  await again.daemon.leave({ force: true });
  t.is(again.daemon.info().state, 'inactive');
  t.deepEqual(await readdir(node.folder), [], 'nothing is left of the cluster');
});

test('a request before the files are read waits for them, and does no harm', async (t) => {
  const node = await testNode(t);
  const nodeId = await node.init();
  await node.daemon.close();
  const next = await testNode(t, { folder: node.folder, address: node.address, start: false });
  const started = next.daemon.start();
  t.is(next.daemon.info().state, 'pending');
  await t.throwsAsync(next.init(), { message: /already part of a swarm/ });
  await started;
  t.is(next.daemon.info().nodeId, nodeId);
});

test('a failed init leaves nothing behind and may be repeated', async (t) => {
  const node = await testNode(t);
  const port = Number(node.address.split(':')[1]);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
  const error = await t.throwsAsync(node.init(), { instanceOf: ApiError });
  t.regex(error.message, new RegExp(`port ${port} .* taken by another program.*--listen-addr`));
  t.is(node.daemon.info().state, 'inactive');
  t.deepEqual(await readdir(node.folder), []);
  await new Promise((resolve) => taken.close(resolve));
  await node.init();
  t.is(node.daemon.info().state, 'active');
});

test('with unusable files the daemon stays up, says why, and can leave', async (t) => {
  for (const damage of [
    'node.json',
    'certificates/swarm-node.crt',
    'certificates/swarm-node.key',
  ]) {
    const node = await testNode(t);
    await node.init();
    await node.daemon.close();
    await writeFile(join(node.folder, damage), 'garbage');
    const next = await testNode(t, { folder: node.folder, address: node.address });
    const { state, error } = next.daemon.info();
    t.is(state, 'error', damage);
    t.regex(error, /damaged|unusable/, damage);
    await t.throwsAsync(next.init(), { message: /swarm leave --force|already part/ });
    await next.daemon.leave({ force: true });
    t.is(next.daemon.info().state, 'inactive');
    await next.init();
    t.is(next.daemon.info().state, 'active');
  }
});

test('a damaged list of managers is forgotten, and the node goes on', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  await worker.daemon.close();
  await writeFile(join(worker.folder, 'worker', 'managers.json'), '{"a":');
  const next = await worker.restart();
  t.is(next.daemon.info().state, 'active');
  t.true(next.log.some((line) => /known managers is lost.*managers\.json is damaged/.test(line)));
});

test('a worker joins, and can leave when no manager is reachable', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  worker.tasks.add('task-1');
  t.is(worker.daemon.info().state, 'active');
  t.false(worker.daemon.info().controlAvailable);
  await first.daemon.close();
  const startedAt = performance.now();
  await worker.daemon.leave({ force: false });
  t.true(performance.now() - startedAt < 3000);
  t.is(worker.tasks.size, 0);
  t.is(worker.daemon.info().state, 'inactive');
});

test('a task that cannot be removed does not keep a node from leaving', async (t) => {
  const node = await testNode(t, { stuck: ['task-1'] });
  await node.init();
  node.tasks.add('task-1').add('task-2');
  await node.daemon.leave({ force: true });
  t.deepEqual([...node.tasks], ['task-1']);
  t.true(node.log.some((line) => /task could not be removed.*task-1/.test(line)));
  t.is(node.daemon.info().state, 'inactive');
});

test('a manager joins, takes over when the first one leaves, and is then the last', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  await second.join(tokenOf(first, 'Manager'), first.address);
  t.true(second.daemon.info().controlAvailable);
  t.is(second.daemon.manager()!.members().length, 2);
  await first.daemon.leave({ force: true });
  await until('the second leads', () => second.daemon.manager()!.isLeader());
  t.is(second.daemon.manager()!.members().length, 1);
  const gone = [...second.daemon.manager()!.store.list('node')].find(
    (node) => node.ID !== second.daemon.info().nodeId,
  );
  t.is(gone?.Spec.Role, 'worker', 'a manager that left by force is a worker');
});

test('a manager that is unreachable at its address does not stay in the cluster', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  const nowhere = `127.0.0.1:${await freePort()}`;
  await t.throwsAsync(second.join(tokenOf(first, 'Manager'), first.address, nowhere), {
    message: /can ?not reach the new manager at .*--advertise-addr/,
  });
  t.is(second.daemon.info().state, 'inactive');
  t.deepEqual(await readdir(second.folder), []);
  t.is(first.daemon.manager()!.members().length, 1);
  t.is(first.daemon.manager()!.store.count('node'), 1, 'its node is forgotten');
  await second.join(tokenOf(first, 'Manager'), first.address);
  t.is(first.daemon.manager()!.members().length, 2);
});

test('a node that joins opens its tunnels on the cluster’s data path port', async (t) => {
  const first = await testNode(t);
  await first.init({ DataPathPort: 5789 });
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  const state = JSON.parse(await readFile(join(worker.folder, 'node.json'), 'utf8'));
  t.is(state.dataPathPort, 5789);
});

test('a manager that would listen on a published port is refused, and may join elsewhere', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  const { store } = first.daemon.manager()!;
  const port = Number(second.address.split(':')[1]);
  const publish = {
    Mode: 'vip' as const,
    Ports: [
      { Protocol: 'tcp', TargetPort: 80, PublishedPort: port, PublishMode: 'ingress' },
    ] as const,
  };
  await put(store, 'service', serviceDraft('web', {}, { EndpointSpec: publish }));
  await t.throwsAsync(second.join(tokenOf(first, 'Manager'), first.address), {
    message: new RegExp(
      `cannot become a manager: it listens on port ${port}/tcp, which service 'web' publishes; .*--listen-addr`,
    ),
  });
  t.is(second.daemon.info().state, 'inactive');
  t.is(first.daemon.manager()!.members().length, 1);
  const third = await testNode(t);
  await third.join(tokenOf(first, 'Manager'), first.address);
  t.is(first.daemon.manager()!.members().length, 2);
  // From then on, nobody else gets its port.
  const taken = Number(third.address.split(':')[1]);
  await until('the store knows its port', () => {
    for (const _ of store.managersByPort(`tcp/${taken}`)) return true;
    return false;
  });
});

test('a wrong address is refused before the cluster learns of the node', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  await t.throwsAsync(second.join(tokenOf(first, 'Worker'), first.address, 'no-such-interface'), {
    message: /invalid advertise address "no-such-interface"/,
  });
  t.is(first.daemon.manager()!.store.count('node'), 1);
  t.is(second.daemon.info().state, 'inactive');
});

test('a Raft member whose daemon died during its join resumes with its id and log', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  await second.join(tokenOf(first, 'Manager'), first.address);
  await second.daemon.close();
  // As if the process had ended before it recorded the join.
  const path = join(second.folder, 'node.json');
  const state = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...state, raftJoined: false }));
  const next = await testNode(t, { folder: second.folder, address: second.address });
  await until('it is a manager again', () => next.daemon.info().controlAvailable);
  const after = JSON.parse(await readFile(path, 'utf8'));
  t.is(after.raftId, state.raftId);
  t.true(after.raftJoined);
  t.is(next.daemon.manager()!.members().length, 2);
});

test('a worker’s certificate beside leftovers of a Raft member makes no manager', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  await worker.daemon.close();
  const path = join(worker.folder, 'node.json');
  const state = JSON.parse(await readFile(path, 'utf8'));
  const raftId = newRaftId(randomBytes);
  await writeFile(path, JSON.stringify({ ...state, raftId, raftJoined: true }));
  const next = await testNode(t, { folder: worker.folder, address: worker.address });
  t.is(next.daemon.info().state, 'active');
  t.false(next.daemon.info().controlAvailable);
  const after = JSON.parse(await readFile(path, 'utf8'));
  t.is(after.raftId, undefined);
});

test('a removed node stops its tasks, says why, and still knows after a restart', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  worker.tasks.add('task-1');
  const { store } = first.daemon.manager()!;
  const { nodeId } = worker.daemon.info();
  await removeNode(store, nodeId);
  await until('the tasks are gone', () => worker.tasks.size === 0);
  t.is(worker.daemon.info().state, 'error');
  t.regex(worker.daemon.info().error, /removed from the cluster.*swarm leave --force/);
  const again = await worker.restart();
  await until('it knows again', () => again.daemon.info().state === 'error');
  t.regex(again.daemon.info().error, /was removed from the cluster/);
  t.is(again.daemon.info().error.split('leave --force').length - 1, 1, 'it is advised once');
  await again.daemon.leave({ force: true });
  await again.join(tokenOf(first, 'Worker'), first.address);
  t.not(again.daemon.info().nodeId, nodeId);
});

/** Writes which role a node should have. It tells of itself meanwhile: a write that lost against that is made again. */
function roleSetter(store: Store, nodeId: string) {
  return (Role: 'manager' | 'worker') =>
    untilWritten(() =>
      store.transact((transaction) => {
        const node = transaction.get('node', nodeId)!;
        transaction.update('node', { ...node, Spec: { ...node.Spec, Role } });
      }),
    );
}

test('a node follows changes of its role both ways, and a renewal keeps the role', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  await second.join(tokenOf(first, 'Worker'), first.address);
  const { store } = first.daemon.manager()!;
  const setRole = roleSetter(store, second.daemon.info().nodeId);
  await setRole('manager');
  await until('it is a manager', () => second.daemon.info().controlAvailable);
  const files = new NodeFiles(second.folder);
  await files.load();
  t.is(files.role, 'manager');
  const { csr } = await createKeyRequest();
  const renewed = await requestCertificate(second.address, files.identity!, { csr });
  t.is(certificateSubject(renewed.certificate).nodeId, second.daemon.info().nodeId);
  await setRole('worker');
  await until('it is a worker', () => !second.daemon.info().controlAvailable);
  await until('only what a worker has is left', () => {
    const names = readdirSync(second.folder).sort();
    return names.join() === 'certificates,node.json,worker';
  });
  t.is(first.daemon.manager()!.members().length, 1);
});

test('a manager that is promoted again before it noticed its removal joins the group again', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  await second.join(tokenOf(first, 'Manager'), first.address);
  await until('it is a manager', () => second.daemon.info().controlAvailable);
  const { store } = first.daemon.manager()!;
  const { nodeId } = second.daemon.info();
  await until('the store has its member', () => store.get('node', nodeId)?.RaftID !== undefined);
  const before = store.get('node', nodeId)!.RaftID;
  const setRole = roleSetter(store, nodeId);
  const promoted = new Promise<void>((resolve, reject) => {
    const unwatch = store.watch(() => {
      if (store.get('node', nodeId)?.RaftID !== undefined) return;
      unwatch();
      setRole('manager').then(resolve, reject);
    });
  });
  await setRole('worker');
  await promoted;
  await until('it is a member again', () => first.daemon.manager()!.members().length === 2);
  await until('the store says so', () => store.get('node', nodeId)?.RaftID !== undefined);
  t.not(store.get('node', nodeId)!.RaftID, before);
  await until('it is a manager', () => second.daemon.info().controlAvailable);
});

test('a role that the leader misreads is set right: a certificate was issued and never arrived', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  const { store } = first.daemon.manager()!;
  const { nodeId } = worker.daemon.info();
  await untilWritten(() =>
    store.transact((transaction) => {
      transaction.update('node', { ...transaction.get('node', nodeId)!, Role: 'manager' });
    }),
  );
  const isRight = () => store.get('node', nodeId)!.Role === 'worker';
  await until('the leader knows its role again', isRight);
  t.true(isRight());
});

test('a manager that was removed and promoted while it was off joins again, under a new id', async (t) => {
  const first = await testNode(t);
  await first.init();
  const third = await testNode(t);
  await third.join(tokenOf(first, 'Manager'), first.address);
  const second = await testNode(t);
  await second.join(tokenOf(first, 'Manager'), first.address);
  const { store } = first.daemon.manager()!;
  const { nodeId } = second.daemon.info();
  await until('the store has its member', () => store.get('node', nodeId)?.RaftID !== undefined);
  const before = store.get('node', nodeId)!.RaftID;
  const setRole = roleSetter(store, nodeId);
  await second.end();
  await setRole('worker');
  await until('it is no member', () => first.daemon.manager()!.members().length === 2);
  await setRole('manager');
  const again = await second.restart();
  await until('it is a member', () => first.daemon.manager()!.members().length === 3);
  await until('it is a manager', () => again.daemon.info().controlAvailable);
  await until(
    'the store says so',
    () => ![undefined, before].includes(store.get('node', nodeId)?.RaftID),
  );
  t.is(again.daemon.info().error, '');
});

test('a node that cannot become a manager says why, tries again, and becomes one', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  const port = Number(worker.address.split(':')[1]);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
  t.false(worker.daemon.info().becomesManager);
  const { store } = first.daemon.manager()!;
  await untilWritten(() =>
    store.transact((transaction) => {
      const node = transaction.get('node', worker.daemon.info().nodeId)!;
      transaction.update('node', { ...node, Spec: { ...node.Spec, Role: 'manager' } });
    }),
  );
  await until('it says why', () => worker.daemon.info().error !== '');
  t.regex(
    worker.daemon.info().error,
    /^this node should be a manager and cannot become one yet: .*taken by another program.*; it tries again by itself$/,
  );
  t.true(worker.daemon.info().becomesManager);
  await new Promise((resolve) => taken.close(resolve));
  await until('it is a manager', () => worker.daemon.info().controlAvailable);
  t.is(worker.daemon.info().error, '');
});

test('a join whose log is lost before its outcome is known goes on under a new id', async (t) => {
  const { third, nodeId, store, members } = await threeAndOneDamaged(t, DAMAGES['whole folder']!);
  const path = join(third.folder, 'node.json');
  const state = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...state, raftJoined: false }));
  const back = await third.restart();
  await until('it is a manager again', () => back.daemon.info().controlAvailable);
  const after = JSON.parse(await readFile(path, 'utf8'));
  t.not(after.raftId, state.raftId);
  t.is(members(), 3, 'the new member is in the place of the old one');
  await until('the store says so', () => store.get('node', nodeId)?.RaftID === after.raftId);
  t.is(store.get('node', nodeId)?.RaftID, after.raftId);
});

/** Three managers; the third has stopped, and its log is unusable. */
async function threeAndOneDamaged(
  t: Parameters<typeof testNode>[0],
  damage: (raft: string) => Promise<void>,
) {
  const first = await testNode(t);
  await first.init();
  const others = [await testNode(t), await testNode(t)] as const;
  for (const node of others) await node.join(tokenOf(first, 'Manager'), first.address);
  const [, third] = others;
  const { store } = first.daemon.manager()!;
  const { nodeId } = third.daemon.info();
  await until('the store has its member', () => store.get('node', nodeId)?.RaftID !== undefined);
  await third.end();
  await damage(new NodeFiles(third.folder).raftFolder);
  const setRole = (Role: 'manager' | 'worker') =>
    untilWritten(() =>
      store.transact((transaction) => {
        const node = transaction.get('node', nodeId)!;
        transaction.updateSpec('node', { ...node, Spec: { ...node.Spec, Role } });
      }),
    );
  const demote = () => setRole('worker');
  const members = () => first.daemon.manager()!.members().length;
  return { third, nodeId, store, demote, promote: () => setRole('manager'), members };
}

const DAMAGES: Readonly<Record<string, (raft: string) => Promise<void>>> = {
  'identity file': async (raft) => {
    for (const name of await readdir(raft, { recursive: true }))
      if (name.endsWith('identity')) await writeFile(join(raft, name), 'garbage');
  },
  'whole folder': (raft) => rm(raft, { recursive: true }),
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`a manager that has lost its log (${what}) says so, and is a worker once it is demoted`, async (t) => {
    const { third, demote, promote, members } = await threeAndOneDamaged(t, damage);
    const back = await third.restart();
    t.is(back.daemon.info().state, 'error');
    t.regex(back.daemon.info().error, /docker node demote|leave --force/);
    await demote();
    await until('it has left the group', () => members() === 2);
    await until('it is well', () => back.daemon.info().error === '');
    t.is(back.daemon.info().state, 'active');
    t.false(back.daemon.info().controlAvailable);
    await until('only what a worker has is left', () => {
      const names = readdirSync(third.folder).sort();
      return names.join() === 'certificates,node.json,worker';
    });
    await promote();
    await until('it is a manager again', () => back.daemon.info().controlAvailable);
    t.is(members(), 3);
  });

  test(`a manager that loses its log (${what}) while it is demoted comes back as a worker`, async (t) => {
    const { third, demote, members } = await threeAndOneDamaged(t, damage);
    await demote();
    await until('it has left the group', () => members() === 2);
    const back = await third.restart();
    await until('it is well', () => back.daemon.info().error === '');
    t.is(back.daemon.info().state, 'active');
    t.false(back.daemon.info().controlAvailable);
    await until('only what a worker has is left', () => {
      const names = readdirSync(third.folder).sort();
      return names.join() === 'certificates,node.json,worker';
    });
  });

  test(`a manager that has lost its log (${what}) stops its tasks when it is removed`, async (t) => {
    const { third, nodeId, store, demote, members } = await threeAndOneDamaged(t, damage);
    const back = await third.restart();
    back.tasks.add('task-1');
    await demote();
    await until('it has left the group', () => members() === 2);
    await untilWritten(() => removeNode(store, nodeId));
    await until('the tasks are gone', () => back.tasks.size === 0);
    t.regex(back.daemon.info().error, /removed from the cluster.*swarm leave --force/);
  });
}

test('a manager that lost its log and was demoted and promoted meanwhile joins again', async (t) => {
  const { third, nodeId, store, demote, promote, members } = await threeAndOneDamaged(
    t,
    DAMAGES['whole folder']!,
  );
  await demote();
  await until('it has left the group', () => members() === 2);
  await until('the store says so', () => store.get('node', nodeId)?.RaftID === undefined);
  await promote();
  const back = await third.restart();
  await until('it is a manager again', () => back.daemon.info().controlAvailable);
  t.is(members(), 3);
  t.is(back.daemon.info().error, '');
});

test('a member id is forgotten before its log', async (t) => {
  const node = await testNode(t);
  await node.init();
  await node.daemon.close();
  const files = new NodeFiles(node.folder);
  await files.load();
  const id = files.state!.raftId;
  t.is(typeof id, 'number');
  // The log cannot be removed; its id must be gone nevertheless.
  await rm(files.raftFolder, { recursive: true });
  await writeFile(files.raftFolder, 'a file in its place');
  await files.forgetMember();
  t.is(files.state!.raftId, undefined);
  const next = new NodeFiles(node.folder);
  await next.load();
  t.is(next.state!.raftId, undefined);
});

/** As `docker node rm` does. */
function removeNode(store: Store, nodeId: string): Promise<void> {
  return store.transact((transaction) => {
    const cluster = transaction.cluster()!;
    const Until = new Date(Date.now() + 1e9).toISOString();
    const RemovedNodes = { [nodeId]: { Until } };
    transaction.update('cluster', { ...cluster, Private: { ...cluster.Private, RemovedNodes } });
    transaction.remove('node', nodeId);
  });
}

/** Repeats the write when the object has changed meanwhile. */
async function untilWritten(write: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'OUT_OF_SEQUENCE') throw error;
    }
  }
}
