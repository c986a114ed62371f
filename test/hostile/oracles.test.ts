import type { Cluster, Node, Revision, Service, Task } from '@swarm/api';
import type { Kind, Objects } from '@swarm/manager';
import test from 'ava';
import { takeAnswer } from './answers.js';
import { forbiddenChanges } from './changes.js';
import type { Credential } from './credential.js';
import { brokenInvariants, INVARIANTS } from './invariants.js';
import { Judge } from './judge.js';
import { State } from './state.js';

const TIME = '2026-11-30T10:00:00.000Z';
const ID = (letter: string) => letter.repeat(25);
const META = { Version: { Index: 5 }, CreatedAt: TIME, UpdatedAt: TIME };

const CLUSTER = { ID: ID('c'), ...META, Private: { RemovedNodes: {} } } as unknown as Cluster;
const NODE: Node = {
  ...{ ID: ID('n'), ...META, Role: 'worker' },
  Spec: { Labels: {}, Role: 'worker', Availability: 'active' },
  Status: { State: 'ready', Addr: '198.18.0.1' },
  Mesh: { Index: 1, Address: '198.18.0.1', Subnet: '10.240.1.0/24' },
};
const SERVICE = {
  ...{ ID: ID('s'), ...META },
  Spec: { Name: 'web', Labels: {}, TaskTemplate: { ForceUpdate: 0 }, Mode: { Global: {} } },
  SpecVersion: { Index: 1 },
  Endpoint: {
    Spec: {},
    Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' }],
  },
} as Service;
const TASK = {
  ...{ ID: ID('t'), ...META, Name: 'web.1', Labels: {}, Slot: 1 },
  ...{ ServiceID: SERVICE.ID, ServiceName: 'web', ServiceLabels: {}, NodeID: NODE.ID },
  Spec: SERVICE.Spec.TaskTemplate,
  SpecVersion: { Index: 1 },
  Status: { Timestamp: TIME, State: 'running', Message: '' },
  DesiredState: 'running',
  NetworksAttachments: [
    { Network: { ID: ID('i'), Spec: { Name: 'ingress' } }, Addresses: ['10.240.1.2/32'] },
  ],
  Endpoint: { Ports: [] },
} as Task;

type Stored = { kind: Kind; object: Objects[Kind] };
const GOOD: readonly Stored[] = [
  { kind: 'cluster', object: CLUSTER },
  { kind: 'node', object: NODE },
  { kind: 'service', object: SERVICE },
  { kind: 'task', object: TASK },
];

/** The good state with one more object, or with one replaced. */
function state(...others: Stored[]): State {
  const ids = new Set(others.map(({ object }) => object.ID));
  return new State(9, [...GOOD.filter(({ object }) => !ids.has(object.ID)), ...others]);
}

const node = (change: object): Stored => ({ kind: 'node', object: { ...NODE, ...change } });
const task = (change: object): Stored => ({ kind: 'task', object: { ...TASK, ...change } });
const service = (change: object): Stored => ({
  kind: 'service',
  object: { ...SERVICE, ...change },
});
const revision = (change: object): Stored => ({
  kind: 'revision',
  object: {
    ...{ ID: ID('r'), ...META },
    ...{ ServiceID: SERVICE.ID, Number: 1, Spec: SERVICE.Spec, SpecVersion: { Index: 1 } },
    ...{ Cause: 'create', StartedAt: TIME },
    ...change,
  } as Revision,
});
const status = (change: object): Stored => task({ Status: { ...TASK.Status, ...change } });

/** States that break each invariant. */
const BROKEN: Readonly<Record<string, readonly State[]>> = {
  'there is one cluster object': [state({ kind: 'cluster', object: { ...CLUSTER, ID: ID('d') } })],
  'every object has an id, versions that were written, and times': [
    state(node({ ID: 'a\nb' })),
    state(node({ Version: { Index: 10 } })),
    state(node({ UpdatedAt: 'now' })),
    state(node({ UpdatedAt: '2026-11-29T10:00:00.000Z' })),
  ],
  'every object is the same after JSON': [
    state(node({ Description: { Resources: { NanoCPUs: 2n ** 64n - 1n } } })),
    state(node({ Description: { Resources: { NanoCPUs: Number.NaN } } })),
    state(node({ Description: new Date(0) })),
  ],
  'names are unique': [
    state(service({ ID: ID('u'), Spec: { ...SERVICE.Spec, Name: 'WEB' }, Endpoint: { Spec: {} } })),
  ],
  'revisions are of services that exist, and a service has the one that it is at': [
    state(service({ Revisions: { Current: 2, Last: 2 } }), revision({ Number: 1 })),
    state(revision({ ServiceID: ID('x') })),
  ],
  'tasks refer to services and nodes that exist, or have ended': [
    state(task({ ServiceID: ID('x') })),
    state(task({ NodeID: ID('x') })),
  ],
  'states of tasks are states, and wishes are managers’': [
    state(status({ State: 'happy' })),
    state(task({ DesiredState: 'orphaned' })),
  ],
  'a task that runs has a node': [state(task({ NodeID: undefined }))],
  'a port is published once': [
    state(service({ ID: ID('u'), Spec: { ...SERVICE.Spec, Name: 'other' } })),
  ],
  'ports are ports': [
    state(status({ PortStatus: { Ports: [{ TargetPort: 70_000 }] } })),
    state(status({ PortStatus: { Ports: {} } })),
  ],
  'nodes have a place in the mesh of their own': [
    state(node({ ID: ID('m') })),
    state(
      node({ ID: ID('m'), Mesh: { Index: 2, Address: '198.18.0.1', Subnet: '10.240.2.0/24' } }),
    ),
    state(node({ Mesh: { ...NODE.Mesh, Index: 4096 } })),
  ],
  'nodes are at addresses of hosts': [
    state(node({ Mesh: { ...NODE.Mesh, Address: '198.18.0.1\nlink delete' } })),
    state(node({ Status: { State: 'ready', Addr: '169.254.169.254' } })),
  ],
  'addresses of tasks are unique, and of their node’s block': [
    state(task({ ID: ID('v'), Slot: 2 })),
    state(task({ NetworksAttachments: [{ Network: {}, Addresses: ['10.240.9.2/32'] }] })),
  ],
  'what runs in a slot is one task': [state(task({ ID: ID('v'), NetworksAttachments: [] }))],
  'members of the Raft group are managers, each once': [
    state(node({ RaftID: 3 })),
    state(
      node({ RaftID: 3, Spec: { ...NODE.Spec, Role: 'manager' } }),
      node({ ID: ID('m'), RaftID: 3, Spec: { ...NODE.Spec, Role: 'manager' }, Mesh: undefined }),
    ),
  ],
  'removed nodes are gone': [
    state({
      kind: 'cluster',
      object: {
        ...CLUSTER,
        Private: { RemovedNodes: { [NODE.ID]: { Until: TIME } } },
      } as unknown as Cluster,
    }),
  ],
  'texts of nodes are of bounded size': [
    state(node({ Description: { Hostname: 'x'.repeat(500_000) } })),
  ],
  'statuses are of bounded size': [state(status({ Err: 'x'.repeat(70_000) }))],
};

test('a good state breaks no invariant', (t) => {
  t.deepEqual(brokenInvariants(state()), []);
});

test('every invariant reports the states that break it', (t) => {
  t.deepEqual(Object.keys(BROKEN).sort(), INVARIANTS.map(({ name }) => name).sort());
  for (const [name, states] of Object.entries(BROKEN)) {
    for (const [place, each] of states.entries())
      t.true(
        brokenInvariants(each).some((text) => text.startsWith(`not so: ${name}:`)),
        `${name}, state ${place + 1}: ${brokenInvariants(each)}`,
      );
  }
});

test('an attacker may change only what its node reports about itself', (t) => {
  const changed = (own: string[], ...others: Stored[]) =>
    forbiddenChanges(state(), state(...others), new Set(own));
  const report = { Description: { Hostname: 'x' }, Version: { Index: 7 } };
  const described = node({ ...report, ClientVersion: META.Version });
  t.deepEqual(changed([NODE.ID], described), []);
  t.regex(changed([NODE.ID], node(report)).join(), /a client's version was 5, is 7/);
  t.regex(changed([], described).join(), /node n+: Description was absent/);
  t.regex(changed([NODE.ID], node({ Spec: { ...NODE.Spec, Role: 'manager' } })).join(), /Spec was/);
  t.regex(changed([NODE.ID], status({ State: 'failed' })).join(), /task t+: Status was/);
  t.regex(changed([NODE.ID], service({ ID: ID('u') })).join(), /service u+ is new/);
  t.regex(
    forbiddenChanges(state(), new State(9, GOOD.slice(0, 3)), new Set()).join(),
    /task t+ is gone/,
  );
});

const WORKER: Credential = { name: 'worker', nodeId: ID('n'), from: '127.0.0.2' };
const NOBODY: Credential = { name: 'nobody', from: '127.0.0.3' };
function answer(text: string) {
  return takeAnswer(Buffer.from(text), 'GET')!.answer;
}

test('answers that an attacker must not get are reported', (t) => {
  const judge = new Judge(['sesame']);
  const ok = (body: string) =>
    answer(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  const refused = (status: string) => answer(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
  const switched = answer('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  t.is(judge.answer(NOBODY, 'GET /ca/root', ok('{}')), undefined);
  t.is(judge.answer(WORKER, 'UPGRADE /dispatcher', switched), undefined);
  t.is(
    judge.answer(
      WORKER,
      'GET /nodes',
      refused('403 Forbidden\r\nx-swarm-error-code: PERMISSION_DENIED'),
    ),
    undefined,
  );
  t.regex(judge.answer(WORKER, 'GET /nodes', ok('[]'))!, /was answered 200/);
  t.regex(judge.answer(NOBODY, 'UPGRADE /dispatcher', switched)!, /was let in/);
  t.regex(judge.answer(WORKER, 'UPGRADE /raft', switched)!, /was let in/);
  t.regex(judge.answer(NOBODY, 'GET /ca/root', ok('open sesame'))!, /secret/);
  t.regex(judge.answer(NOBODY, 'POST /ca/certificates', ok('{}'))!, /certificate/);
  t.regex(judge.answer(NOBODY, 'GET /nodes', refused('500 Oops'))!, /500/);
  t.regex(
    judge.answer(NOBODY, 'GET /nodes', refused('503 No\r\nx-swarm-error-code: NO_QUORUM'))!,
    /NO_QUORUM/,
  );
});

test('messages that reveal others, or redirect all nodes, are reported', (t) => {
  const judge = new Judge(['sesame']);
  const none = Buffer.alloc(0);
  const mesh = (peer: string, endpoint: string) =>
    judge.message(
      WORKER,
      {
        type: 'mesh',
        delta: {
          ...{ base: 0, generation: 1, removedPeers: [], removedPorts: [] },
          peers: [{ nodeId: ID('n'), index: 1, address: peer, subnet: '10.240.1.0/24' }],
          ports: [
            {
              ...{ protocol: 'tcp', publishedPort: 80, serviceId: ID('s') },
              endpoints: [{ taskId: ID('t'), nodeId: ID('n'), address: endpoint, port: 80 }],
            },
          ],
        },
      },
      none,
    );
  t.is(mesh('198.18.0.1', '127.0.0.2'), undefined);
  t.is(mesh('198.18.0.1', '10.240.1.7'), undefined);
  t.regex(mesh('198.18.0.1\nx', '127.0.0.2')!, /told that node/);
  t.regex(mesh('0.0.0.0', '127.0.0.2')!, /told that node/);
  t.regex(mesh('198.18.0.1', '169.254.169.254')!, /told to send port 80/);
  t.regex(
    judge.message(WORKER, { type: 'node', node: { ...NODE, ID: ID('x') }, managers: [] }, none)!,
    /node object/,
  );
  t.regex(
    judge.message(WORKER, { type: 'heartbeat-ack', heartbeatMs: 1 }, Buffer.from('sesame'))!,
    /secret/,
  );
});
