import { PROGRAM, silentLogger } from '@swarm/api';
import test from 'ava';
import { NodePresence } from '../../src/dispatcher/node-presence.js';
import type { AgentView } from '../../src/dispatcher/node-states.js';
import { clusterDraft, nodeDraft, put } from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { DESCRIPTION } from './harness.js';

const MESH = { Index: 1, Address: '', Subnet: '10.240.1.0/24' };

/** A store with these nodes, their agents, and who was reported as changed. */
async function presence(...ids: string[]) {
  const store = createTestStore();
  const FeatureLevel = PROGRAM.FeatureLevel.Newest;
  await put(store, 'cluster', { ...clusterDraft('cluster'), FeatureLevel });
  for (const [i, id] of ids.entries()) {
    await put(store, 'node', nodeDraft(id, { Mesh: { ...MESH, Index: i + 1 } }));
  }
  const agents = new Map<string, AgentView>();
  const changed: string[] = [];
  const warned: string[] = [];
  const made = new NodePresence({
    view: store,
    logger: { ...silentLogger, warn: (_fields: object, message: string) => warned.push(message) },
    agent: (nodeId) => agents.get(nodeId),
    changed: (nodeId) => changed.push(nodeId),
  });
  const observed = (id: string) => made.observe(store.get('node', id)!);
  const arrive = (id: string, remoteAddress: string, dataPathAddr = '') => {
    const hello = { description: DESCRIPTION, dataPathAddr };
    agents.set(id, { hello, remoteAddress, protocol: PROGRAM.Protocol.Newest });
    made.arrived(id);
  };
  const gone = (id: string) => agents.delete(id);
  return { made, store, observed, arrive, gone, changed, warned };
}

test('a node is what its agent says and where it connects from; without one it stays as it is stored', async (t) => {
  const { store, observed, arrive } = await presence('one');
  t.is(observed('one'), store.get('node', 'one')!);
  arrive('one', '198.18.0.21');
  t.like(observed('one'), {
    Status: { State: 'ready', Addr: '198.18.0.21' },
    Mesh: { Address: '198.18.0.21' },
  });
});

test('a node that said goodbye, or was silent, is away until it comes back', async (t) => {
  const { made, observed, arrive, gone } = await presence('one');
  arrive('one', '198.18.0.21');
  gone('one');
  made.disconnected('one');
  t.false(made.isAway('one'));
  made.saidGoodbye('one');
  t.is(observed('one').Status.State, 'disconnected');
  made.down('one');
  t.is(observed('one').Status.State, 'down');
  t.true(made.isAway('one'));
  arrive('one', '198.18.0.21');
  t.false(made.isAway('one'));
  t.is(observed('one').Status.State, 'ready');
});

test('a node that wants another’s address gets no place, says why, and has it when the other is down', async (t) => {
  const { made, observed, arrive, gone, changed, warned } = await presence('owner', 'thief');
  arrive('owner', '198.18.0.21');
  arrive('thief', '198.18.0.22', '198.18.0.21');
  t.regex(observed('thief').Status.Message ?? '', /198\.18\.0\.21 belongs to node owner/);
  t.is(observed('thief').Mesh?.Address, '');
  t.is(warned.length, 1);
  made.claim('thief');
  t.is(warned.length, 1, 'said once');
  gone('owner');
  made.down('owner');
  t.deepEqual(changed, ['thief']);
  t.is(observed('thief').Mesh?.Address, '198.18.0.21');
});

test('what a node had under the last leader is its own until it is down', async (t) => {
  const { made, store, observed, arrive, changed } = await presence('former', 'new');
  const former = store.get('node', 'former')!;
  const Status = { State: 'ready', Addr: '198.18.0.21' } as const;
  made.restore({ ...former, Status, Mesh: { ...MESH, Address: '198.18.0.21' } });
  arrive('new', '198.18.0.22', '198.18.0.21');
  t.is(observed('new').Mesh?.Address, '');
  made.down('former');
  t.deepEqual(changed, ['new']);
  t.is(observed('new').Mesh?.Address, '198.18.0.21');
});

test('a node that is down has no address to restore', async (t) => {
  const { made, store, observed, arrive } = await presence('former', 'new');
  const former = store.get('node', 'former')!;
  const Status = { State: 'down', Addr: '198.18.0.21' } as const;
  made.restore({ ...former, Status, Mesh: { ...MESH, Address: '198.18.0.21' } });
  arrive('new', '198.18.0.22', '198.18.0.21');
  t.is(observed('new').Mesh?.Address, '198.18.0.21');
});
