import {
  type Network,
  isTaskAddress,
  nodeBlock,
  parseCidr,
  type PortConfig,
  silentLogger,
  Subnet,
  type Task,
} from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { ADDRESS_REST_MS } from '../src/allocator/address-pool.js';
import { AddressBook, createAllocator } from '../src/allocator/index.js';
import type { ControlLoop } from '../src/control-loop.js';
import { createScheduler } from '../src/scheduler/index.js';
import type { Draft } from '../src/store/store.js';
import {
  ingressDraft,
  networkDraft,
  nodeDraft,
  patch,
  put,
  serviceDraft,
  taskDraft,
} from './support/objects.js';
import { createTestStore, type TestStore } from './support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from './support/start-time.js';

const PASS_MS = 100;
const PORT: PortConfig = {
  Protocol: 'tcp',
  TargetPort: 80,
  PublishedPort: 80,
  PublishMode: 'ingress',
};
const USER_SUBNETS = [
  { Subnet: '10.9.0.0/29', Gateway: '10.9.0.3' },
  { Subnet: 'fd09::/64', Gateway: 'fd09::1' },
];
const userNetwork = (id: string): Draft<'network'> => networkDraft(id, { Subnets: USER_SUBNETS });

/** The loops with which a leader gives addresses, over one store. */
class Leader {
  readonly clock = new VirtualClock(START_MS);
  readonly store: TestStore = createTestStore({ clock: this.clock });
  readonly #seed = { next: 1 };
  #loops: ControlLoop[] = [];

  async start(): Promise<void> {
    const randomBytes = (size: number) => new Uint8Array(size).fill(this.#seed.next++);
    const context = { store: this.store, clock: this.clock, logger: silentLogger, randomBytes };
    const addresses = new AddressBook(context);
    this.#loops = [
      addresses,
      createAllocator(context, addresses),
      createScheduler(context, addresses),
    ];
    for (const loop of this.#loops) loop.start();
    await this.pass();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  pass(ms = PASS_MS): Promise<void> {
    return this.clock.advance(ms);
  }

  async end(id: string): Promise<void> {
    const Timestamp = new Date(this.clock.now()).toISOString();
    await patch(this.store, 'task', id, (task) => ({
      ...task,
      Status: { ...task.Status, State: 'shutdown', Timestamp },
    }));
  }

  task(id: string): Task | undefined {
    return this.store.get('task', id);
  }

  addresses(id: string): readonly string[] {
    return (this.task(id)?.NetworksAttachments ?? []).flatMap(({ Addresses }) => Addresses);
  }
}

/** Two nodes, a service that publishes a port, and one that does not. */
async function leader(...networks: Draft<'network'>[]): Promise<Leader> {
  const made = new Leader();
  for (const id of ['n1', 'n2']) {
    const { Description } = nodeDraft(id);
    const RuntimeCapabilities = ['images', 'network-overlay'];
    const draft = nodeDraft(id, { Description: { ...Description!, RuntimeCapabilities } });
    await put(made.store, 'node', draft);
  }
  await put(made.store, 'network', ingressDraft());
  for (const network of networks) await put(made.store, 'network', network);
  const EndpointSpec = { Mode: 'vip' as const, Ports: [PORT] };
  await put(made.store, 'service', serviceDraft('web', {}, { EndpointSpec }));
  await put(made.store, 'service', serviceDraft('plain'));
  await made.start();
  return made;
}

const taskOf = (id: string, ServiceID: string, ...Targets: string[]): Draft<'task'> =>
  taskDraft(id, {
    ServiceID,
    Spec: { ...taskDraft(id).Spec, Networks: Targets.map((Target) => ({ Target })) },
  });

test('node-bound addresses come with the node, in the transaction that assigns it', async (t) => {
  const made = await leader();
  const changes = made.store.record();
  await put(made.store, 'task', taskOf('t', 'web'));
  await made.pass();
  const states = changes.flatMap(({ events }) =>
    events.flatMap((event) =>
      event.kind === 'task'
        ? [[event.object.Status.State, event.object.NetworksAttachments?.length ?? 0]]
        : [],
    ),
  );
  t.deepEqual(
    states,
    [
      ['new', 0],
      ['pending', 0],
      ['assigned', 1],
    ],
    'no write is added for an address',
  );
});

test('on another ingress network, nodes of a version that does not know it get no tasks with ports', async (t) => {
  const made = await leader();
  await made.start();
  await patch(made.store, 'network', 'ingress', (network) => ({
    ...network,
    Subnets: [{ Subnet: '10.11.0.0/24', Gateway: '10.11.0.1' }],
  }));
  const runs = (id: string, Newest: number) =>
    patch(made.store, 'node', id, (node) => ({
      ...node,
      Description: {
        ...node.Description!,
        Program: {
          ...{ Version: '0', Protocol: { Oldest: 1, Newest: 2 } },
          FeatureLevel: { Oldest: Newest - 1, Newest },
        },
      },
    }));
  await runs('n1', 4);
  await runs('n2', 5);
  await made.pass();
  for (const id of ['a', 'b']) await put(made.store, 'task', taskOf(id, 'web'));
  await made.pass();
  t.deepEqual(
    ['a', 'b'].map((id) => made.task(id)?.NodeID),
    ['n2', 'n2'],
  );
  t.deepEqual(made.addresses('a'), ['10.11.0.34/32'], 'of the block of its node, a /28');
  await made.stop();
});

test('a pending task has an address of each family in its cluster-wide networks', async (t) => {
  const made = await leader(userNetwork('back'));
  for (const id of ['n1', 'n2']) {
    await patch(made.store, 'node', id, (node) => ({
      ...node,
      Status: { State: 'down', Addr: '' },
    }));
  }
  await put(made.store, 'task', taskOf('t', 'web', 'back'));
  await made.pass();
  t.is(made.task('t')?.Status.State, 'pending');
  t.deepEqual(made.addresses('t'), ['10.9.0.2/32', 'fd09::2/128']);
  await patch(made.store, 'node', 'n2', (node) => ({
    ...node,
    Status: { State: 'ready', Addr: '' },
  }));
  await made.pass();
  t.deepEqual(
    made.task('t')?.NetworksAttachments?.map(({ Network }) => Network),
    [
      { ID: 'back', Spec: { Name: 'back', Ingress: false } },
      { ID: 'ingress', Spec: { Name: 'ingress', Ingress: true } },
    ],
  );
  t.deepEqual(made.addresses('t').slice(0, 2), ['10.9.0.2/32', 'fd09::2/128'], 'they stay');
});

test('a task waits for an address in a full network, says so, and gets the next free one', async (t) => {
  const made = await leader(userNetwork('back'));
  // Offsets 2 to 6, of which the gateway has one.
  for (const id of ['a', 'b', 'c', 'd', 'e']) {
    await put(made.store, 'task', taskOf(id, 'plain', 'back'));
    await made.pass();
  }
  t.is(made.task('d')?.Status.State, 'assigned');
  t.is(made.task('e')?.Status.State, 'new');
  t.is(
    made.task('e')?.Status.Err,
    'the network back has no free address for the task: stop tasks, or use a larger subnet',
  );
  const { entries } = made.store;
  await made.pass(1_000);
  t.is(made.store.entries, entries, 'nothing is written while nothing changes');
  await made.end('b');
  await made.pass();
  t.is(made.task('e')?.Status.State, 'assigned');
  t.deepEqual(
    made.addresses('e'),
    ['10.9.0.4/32', 'fd09::6/128'],
    'IPv6 has more, so none is reused',
  );
});

test('a task waits for a network that does not exist, and is attached once it is created', async (t) => {
  const made = await leader();
  await put(made.store, 'task', taskOf('t', 'plain', 'late'));
  await made.pass();
  t.regex(made.task('t')?.Status.Err ?? '', /its network late does not exist/);
  await put(made.store, 'network', userNetwork('late'));
  await made.pass();
  t.is(made.task('t')?.Status.State, 'assigned');
  t.is(made.addresses('t').length, 2);
});

test('an address that a failed transaction had given is free, and rests', async (t) => {
  const made = await leader();
  await made.store.transact((transaction) => transaction.remove('node', 'n2'));
  await put(made.store, 'task', taskOf('a', 'web'));
  await made.clock.advance(3);
  made.store.failNext(Object.assign(new Error('no'), { code: 'RAFT_QUORUM_LOST' }));
  await made.pass(1_000);
  t.deepEqual(
    made.addresses('a'),
    ['10.240.1.3/32'],
    '.2 was thought of before, and may be in the log',
  );
  await made.end('a');
  await put(made.store, 'task', taskOf('b', 'web'));
  await made.pass();
  t.deepEqual(made.addresses('b'), ['10.240.1.4/32']);
});

type Step =
  | {
      readonly do: 'create';
      readonly service: string;
      readonly networks: readonly string[];
      readonly ms: number;
    }
  | { readonly do: 'end' | 'remove'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'fail' | 'lead' | 'reset' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('create' as const),
        service: fc.constantFrom('web', 'plain'),
        networks: fc.subarray(['back', 'front']),
        ms: fc.constantFrom(0, PASS_MS),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom('end' as const, 'remove' as const),
        which: fc.nat(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('pass' as const),
        ms: fc.nat({ max: ADDRESS_REST_MS }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom('fail' as const, 'lead' as const, 'reset' as const),
      }),
    },
  ),
  { maxLength: 40, size: 'max' },
);

/** Checks what must always be true of the addresses in a store. */
function faults(store: TestStore): string[] {
  const holders = new Map<string, string>();
  const found: string[] = [];
  for (const task of store.list('task')) {
    if (task.Status.State === 'shutdown') continue;
    for (const {
      Network: { ID },
      Addresses,
    } of task.NetworksAttachments ?? []) {
      const network = store.get('network', ID);
      for (const text of Addresses) {
        const other = holders.get(text);
        if (other !== undefined) found.push(`${task.ID} and ${other} have ${text}`);
        holders.set(text, task.ID);
        if (network === undefined || !isOf(store, network, task, text)) {
          found.push(`${task.ID} has ${text}, which is not of ${ID}`);
        }
      }
    }
  }
  return found;
}

function isOf(store: TestStore, network: Network, task: Task, text: string): boolean {
  const { address } = parseCidr(text)!;
  const subnets = network.Subnets.map((each) => Subnet.of(each.Subnet));
  if (!network.Spec.Ingress) {
    const isGateway = network.Subnets.some(({ Gateway }) => Gateway === address);
    return !isGateway && subnets.some((subnet) => isTaskAddress(subnet, address));
  }
  const index = store.get('node', task.NodeID ?? '')?.Mesh?.Index ?? 0;
  return isTaskAddress(nodeBlock(subnets[0]!, index)!, address);
}

test('two live tasks never hold one address, it is of their network, and it rests', async (t) => {
  const check = fc.asyncProperty(steps, async (run) => {
    const front = networkDraft('front', {
      Subnets: [{ Subnet: '10.8.0.0/24', Gateway: '10.8.0.1' }],
    });
    const made = await leader(userNetwork('back'), front);
    /** When each address that this leader can know about was freed; the small network has none to spare. */
    const freed = new Map<string, number>();
    const hasty: string[] = [];
    made.store.watch(({ events }) => {
      for (const event of events) {
        if (event.kind !== 'task' || event.action !== 'update') continue;
        if (event.object.NetworksAttachments === event.previous.NetworksAttachments) continue;
        for (const text of made.addresses(event.object.ID)) {
          const restedMs = made.clock.now() - (freed.get(text) ?? Number.NEGATIVE_INFINITY);
          const isRoomy = !text.startsWith('10.9.');
          if (isRoomy && restedMs < ADDRESS_REST_MS) hasty.push(`${text} rested ${restedMs} ms`);
        }
      }
    });
    let number = 0;
    const remember = (id: string) => {
      for (const text of made.addresses(id)) freed.set(text, made.clock.now());
    };
    const act = async (step: Step): Promise<void> => {
      switch (step.do) {
        case 'create': {
          number += 1;
          const task = taskOf(`t${number}`, step.service, ...step.networks);
          await put(made.store, 'task', task);
          await made.pass(step.ms);
          return;
        }
        case 'pass':
          await made.pass(step.ms);
          return;
        case 'reset':
          made.store.reset();
          return;
        case 'fail':
          made.store.failNext(Object.assign(new Error('no'), { code: 'RAFT_QUORUM_LOST' }));
          await made.pass();
          return;
        case 'lead':
          await made.stop();
          // A new leader knows nothing about removed tasks.
          for (const text of freed.keys()) if (!isRemembered(made.store, text)) freed.delete(text);
          await made.start();
          return;
        case 'end':
        case 'remove': {
          const tasks = [...made.store.list('task')];
          const task = tasks[step.which % tasks.length];
          if (task === undefined) return;
          const isLive = task.Status.State !== 'shutdown';
          if (isLive) remember(task.ID);
          if (step.do === 'remove') {
            await made.store.transact((transaction) => transaction.remove('task', task.ID));
          } else if (isLive) await made.end(task.ID);
        }
      }
    };
    for (const step of run) {
      await act(step).catch(ignoreFailure);
      const found = [...faults(made.store), ...hasty];
      if (found.length > 0) throw new Error(found.join('\n'));
    }
    await made.pass(1_000);
    await made.stop();
    const found = [...faults(made.store), ...hasty];
    if (found.length > 0) throw new Error(found.join('\n'));
  });
  await t.notThrowsAsync(fc.assert(check, { numRuns: 40 }));
});

function isRemembered(store: TestStore, text: string): boolean {
  return [...store.list('task')].some(({ NetworksAttachments = [] }) =>
    NetworksAttachments.some(({ Addresses }) => Addresses.includes(text)),
  );
}

/** A failure meant for a loop hit the test's own write. */
function ignoreFailure(error: unknown): void {
  if ((error as { code?: string }).code !== 'NO_QUORUM') throw error;
}
