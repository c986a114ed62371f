import { type Network, parseCidr, type Service, type ServiceSpec, silentLogger } from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import fc from 'fast-check';
import { ADDRESS_REST_MS } from '../src/allocator/address-pool.js';
import { AddressBook, createAllocator } from '../src/allocator/index.js';
import type { ControlLoop } from '../src/control-loop.js';
import {
  clusterDraft,
  ingressDraft,
  networkDraft,
  patch,
  put,
  serviceDraft,
  taskDraft,
} from './support/objects.js';
import { START_MS } from './support/start-time.js';
import { createTestStore, type TestStore } from './support/test-store.js';

const PASS_MS = 100;
const BACK = { Subnets: [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }], VNI: 4097 };
const BOTH = {
  Subnets: [
    { Subnet: '10.8.0.0/16', Gateway: '10.8.0.1' },
    { Subnet: 'fd08::/64', Gateway: 'fd08::1' },
  ],
  VNI: 4098,
};
/** Offsets 2 to 6, one of which the gateway has. */
const SMALL = { Subnets: [{ Subnet: '10.7.0.0/29', Gateway: '10.7.0.3' }], VNI: 4099 };

/** The loops that give addresses, over one store; `restart` stands for a change of leader. */
class LeaderWithVips {
  readonly clock = new VirtualClock(START_MS);
  readonly store: TestStore = createTestStore({ clock: this.clock });
  #loops: ControlLoop[] = [];

  async start(): Promise<void> {
    let seed = 0;
    const randomBytes = (size: number) => new Uint8Array(size).fill(++seed);
    const context = { store: this.store, clock: this.clock, logger: silentLogger, randomBytes };
    const addresses = new AddressBook(context);
    this.#loops = [addresses, createAllocator(context, addresses)];
    for (const loop of this.#loops) loop.start();
    await this.pass();
  }

  async restart(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
    await this.start();
  }

  pass(ms = PASS_MS): Promise<void> {
    return this.clock.advance(ms);
  }

  service(id: string): Service {
    return this.store.get('service', id)!;
  }

  vips(id: string): readonly string[] {
    return (this.service(id).Endpoint.VirtualIPs ?? []).map(
      ({ NetworkID, Addr }) => `${NetworkID} ${Addr}`,
    );
  }

  async attach(id: string, targets: readonly string[], more: Partial<ServiceSpec> = {}) {
    await patch(this.store, 'service', id, (service) => ({
      ...service,
      Spec: {
        ...service.Spec,
        ...more,
        TaskTemplate: { ...service.Spec.TaskTemplate, Networks: networksOf(targets) },
      },
    }));
    await this.pass();
  }
}

const networksOf = (targets: readonly string[]) => targets.map((Target) => ({ Target }));

async function leader(networks: Readonly<Record<string, Pick<Network, 'Subnets' | 'VNI'>>>) {
  const made = new LeaderWithVips();
  await put(made.store, 'cluster', clusterDraft('c'));
  await put(made.store, 'network', ingressDraft());
  for (const [id, allocation] of Object.entries(networks))
    await put(made.store, 'network', networkDraft(id, allocation));
  await made.start();
  return made;
}

const onNetworks = (id: string, targets: readonly string[], more: Partial<ServiceSpec> = {}) =>
  serviceDraft(
    id,
    {},
    {
      TaskTemplate: { ...serviceDraft(id).Spec.TaskTemplate, Networks: networksOf(targets) },
      EndpointSpec: { Mode: 'vip' },
      ...more,
    },
  );

test('a service has a virtual address of each family in each of its networks', async (t) => {
  const made = await leader({ back: BACK, both: BOTH });
  await put(made.store, 'service', onNetworks('web', ['back', 'both']));
  await made.pass();
  t.deepEqual(made.vips('web'), ['back 10.9.0.2/24', 'both 10.8.0.2/16', 'both fd08::2/64']);
  t.is(made.service('web').AllocationError, undefined);
  await put(made.store, 'service', onNetworks('none', ['host']));
  await put(made.store, 'service', onNetworks('rr', ['back'], { EndpointSpec: { Mode: 'dnsrr' } }));
  await made.pass();
  t.is(made.service('none').Endpoint.VirtualIPs, undefined);
  t.is(made.service('rr').Endpoint.VirtualIPs, undefined);
});

test('it keeps them through updates and changes of leader, and only in networks that it stays on', async (t) => {
  const made = await leader({ back: BACK, both: BOTH });
  await put(made.store, 'service', onNetworks('first', ['back']));
  await put(made.store, 'service', onNetworks('web', ['back', 'both']));
  await made.pass();
  const before = made.vips('web');
  const Ports = [
    { Protocol: 'tcp', TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' } as const,
  ];
  await made.attach('web', ['both', 'back'], { EndpointSpec: { Mode: 'vip', Ports } });
  t.deepEqual([...made.vips('web')].sort(), [...before].sort());
  t.is(made.service('web').Endpoint.Ports?.length, 1);
  await made.restart();
  t.deepEqual([...made.vips('web')].sort(), [...before].sort());
  await made.attach('web', ['both']);
  t.deepEqual(made.vips('web'), before.slice(1));
  await made.attach('web', ['both'], { EndpointSpec: { Mode: 'dnsrr' } });
  t.deepEqual(made.vips('web'), []);
  await made.attach('web', ['both', 'back'], { EndpointSpec: { Mode: 'vip' } });
  t.is(made.vips('web').length, 3);
  t.false(
    made.vips('web').some((each) => before.includes(each)),
    'what was given back rests',
  );
});

test('a virtual address is nobody else’s: not a task’s, not the gateway’s, and rests for a minute', async (t) => {
  const made = await leader({ small: SMALL });
  await put(made.store, 'service', onNetworks('web', ['small']));
  await made.pass();
  t.deepEqual(made.vips('web'), ['small 10.7.0.2/29']);
  await made.store.transact((transaction) => transaction.remove('service', 'web'));
  await put(made.store, 'service', onNetworks('api', ['small']));
  await put(
    made.store,
    'task',
    taskDraft('t', {
      ServiceID: 'api',
      Spec: { ...taskDraft('t').Spec, Networks: networksOf(['small']) },
    }),
  );
  await made.pass();
  t.deepEqual(made.vips('api'), ['small 10.7.0.4/29']);
  t.deepEqual(made.store.get('task', 't')?.NetworksAttachments?.[0]?.Addresses, ['10.7.0.5/32']);
  await made.pass(ADDRESS_REST_MS);
  await put(made.store, 'service', onNetworks('a', ['small']));
  await put(made.store, 'service', onNetworks('b', ['small']));
  await made.pass();
  t.deepEqual([...made.vips('a'), ...made.vips('b')].sort(), [
    'small 10.7.0.2/29',
    'small 10.7.0.6/29',
  ]);
});

test('a service waits in a full network, its tasks say so, and both go on when there is room', async (t) => {
  const made = await leader({ small: SMALL });
  for (const id of ['a', 'b', 'c', 'd']) {
    await put(made.store, 'service', onNetworks(id, ['small']));
    await made.pass();
  }
  await put(made.store, 'service', onNetworks('late', ['small']));
  const Networks = networksOf(['host']);
  await put(
    made.store,
    'task',
    taskDraft('t', { ServiceID: 'late', Spec: { ...taskDraft('t').Spec, Networks } }),
  );
  await made.pass();
  const reason =
    'the network small has no free address for the virtual address of the service: stop tasks, or use a larger subnet';
  t.is(made.service('late').AllocationError, reason);
  const { Status } = made.store.get('task', 't')!;
  t.is(Status.State, 'new');
  t.is(Status.Message, 'waiting for the virtual addresses of its service');
  t.is(Status.Err, reason);
  await made.restart();
  t.is(made.service('late').AllocationError, reason);
  await made.store.transact((transaction) => transaction.remove('service', 'b'));
  await made.pass();
  t.is(made.service('late').AllocationError, undefined);
  t.is(made.vips('late').length, 1);
  t.is(made.store.get('task', 't')?.Status.State, 'pending');
});

test('a service that names a network that is gone waits for it, and says which', async (t) => {
  const made = await leader({});
  await put(made.store, 'service', onNetworks('web', ['back']));
  await made.pass();
  t.is(
    made.service('web').AllocationError,
    'its network back does not exist: create it, or remove it from the service',
  );
  await put(made.store, 'network', networkDraft('back', BACK));
  await made.pass();
  t.is(made.service('web').AllocationError, undefined);
  t.deepEqual(made.vips('web'), ['back 10.9.0.2/24']);
});

test('addresses of tasks and services come from the range that the user chose', async (t) => {
  const { Spec } = networkDraft('ranged');
  const made = await leader({});
  const Config = [{ Subnet: '10.6.0.0/24', IPRange: '10.6.0.128/30', Gateway: '10.6.0.129' }];
  await put(
    made.store,
    'network',
    networkDraft('ranged', {
      Spec: { ...Spec, IPAM: { Driver: 'default', Config } },
      Subnets: [{ Subnet: '10.6.0.0/24', Gateway: '10.6.0.129' }],
    }),
  );
  for (const id of ['a', 'b', 'c', 'd']) {
    await put(made.store, 'service', onNetworks(id, ['ranged']));
    await made.pass();
  }
  t.deepEqual(
    ['a', 'b', 'c'].flatMap((id) => made.vips(id)),
    ['ranged 10.6.0.128/24', 'ranged 10.6.0.130/24', 'ranged 10.6.0.131/24'],
  );
  t.regex(made.service('d').AllocationError ?? '', /^the network ranged has no free address/);
});

test('random services, tasks and leaders: no address has two holders, and none is lost', async (t) => {
  const networks = { small: SMALL, back: BACK, both: BOTH };
  const targets = fc.subarray(Object.keys(networks));
  const id = fc.nat(3).map((n) => `s${n}`);
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('service' as const), id, targets }) },
    fc.record({ kind: fc.constant('remove' as const), id }),
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('task' as const), id, targets }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('end' as const), at: fc.nat(20) }) },
    fc.record({ kind: fc.constant('restart' as const) }),
    fc.record({ kind: fc.constant('wait' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
      const made = await leader(networks);
      const { store } = made;
      let next = 0;
      for (const each of actions) {
        if (each.kind === 'service') {
          if (store.get('service', each.id) === undefined)
            await put(store, 'service', onNetworks(each.id, each.targets));
          else await made.attach(each.id, each.targets);
        } else if (each.kind === 'remove') {
          if (store.get('service', each.id) !== undefined)
            await store.transact((transaction) => transaction.remove('service', each.id));
        } else if (each.kind === 'task') {
          next += 1;
          const Spec = { ...taskDraft('t').Spec, Networks: networksOf(each.targets) };
          await put(store, 'task', taskDraft(`t${next}`, { ServiceID: '', Spec }));
        } else if (each.kind === 'end') {
          const live = [...store.list('task')].filter(({ Status }) => Status.State === 'pending');
          const task = live[each.at % Math.max(1, live.length)];
          if (task !== undefined)
            await patch(store, 'task', task.ID, (one) => ({
              ...one,
              Status: { ...one.Status, State: 'failed' },
            }));
        } else if (each.kind === 'restart') await made.restart();
        else await made.pass(ADDRESS_REST_MS);
        await made.pass();
        const held = holders(store);
        t.is(new Set(held).size, held.length, held.join(' '));
      }
      // Whatever waited has what it wants once the others are gone.
      for (const task of [...store.list('task')])
        await store.transact((transaction) => transaction.remove('task', task.ID));
      await made.pass();
      for (const service of store.list('service')) t.is(service.AllocationError, undefined);
      const wanted = [...store.list('service')].flatMap(
        ({ Spec }) => Spec.TaskTemplate.Networks ?? [],
      );
      const given = [...store.list('service')].flatMap(({ Endpoint }) => Endpoint.VirtualIPs ?? []);
      const families = wanted.reduce((sum, { Target }) => sum + (Target === 'both' ? 2 : 1), 0);
      t.is(given.length, families);
    }),
    { numRuns: 60 },
  );
});

/** Every address that a living task or a service has, and every gateway. */
function holders(store: TestStore): string[] {
  const tasks = [...store.list('task')].filter(({ Status }) => Status.State !== 'failed');
  return [
    ...tasks.flatMap(({ NetworksAttachments }) =>
      (NetworksAttachments ?? []).flatMap(({ Addresses }) => Addresses),
    ),
    ...[...store.list('service')].flatMap(({ Endpoint }) =>
      (Endpoint.VirtualIPs ?? []).map(({ Addr }) => Addr),
    ),
    ...[...store.list('network')].flatMap(({ Subnets }) =>
      Subnets.map(({ Gateway }) => `${Gateway}/32`),
    ),
  ].map((text) => parseCidr(text)!.address);
}
