import {
  ApiError,
  type Network,
  type NetworkSpec,
  PROGRAM,
  type Program,
  silentLogger,
  Subnet,
  VNI_OPTION,
} from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import fc from 'fast-check';
import { NetworkBook } from '../src/allocator/network-book.js';
import {
  clusterDraft,
  ingressDraft,
  networkDraft,
  nodeDraft,
  patch,
  put,
} from './support/objects.js';
import { START_MS } from './support/start-time.js';
import { createTestStore, type TestStore } from './support/test-store.js';

interface Asked {
  readonly subnets?: readonly string[];
  readonly ipv6?: boolean;
  readonly options?: Record<string, string>;
}

function specOf(name: string, { subnets = [], ipv6 = false, options = {} }: Asked): NetworkSpec {
  return {
    ...networkDraft(name).Spec,
    IPv6Enabled: ipv6,
    DriverOpts: options,
    IPAM: { Driver: 'default', Config: subnets.map((Subnet) => ({ Subnet })) },
  };
}

async function world(pools: readonly string[] = ['10.0.0.0/8'], subnetSize = 24) {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  const cluster = { ...clusterDraft('c'), DefaultAddrPool: pools, SubnetSize: subnetSize };
  await put(store, 'cluster', cluster);
  await put(store, 'network', ingressDraft());
  return { clock, store, book: new NetworkBook(store, silentLogger) };
}

/** Makes a network as the API does. */
async function make(store: TestStore, book: NetworkBook, id: string, asked: Asked = {}) {
  const proposal = store.transact((transaction) => {
    const Spec = specOf(id, asked);
    const given = book.allocate(transaction, id, Spec);
    transaction.create('network', { ID: id, Spec, ...given });
  });
  await book.follow(id, proposal);
  await proposal;
  return store.get('network', id)!;
}

const remove = (store: TestStore, id: string) =>
  store.transact((transaction) => transaction.remove('network', id));
const subnetsOf = ({ Subnets }: Network) => Subnets.map(({ Subnet: text }) => text);

test('networks get the next free subnets with their first address as gateway, and the lowest VNI', async (t) => {
  const { store, book } = await world();
  const a = await make(store, book, 'a');
  t.deepEqual(a.Subnets, [{ Subnet: '10.0.0.0/24', Gateway: '10.0.0.1' }]);
  t.is(a.VNI, 4097);
  t.deepEqual(subnetsOf(await make(store, book, 'b')), ['10.0.1.0/24']);
  await remove(store, 'a');
  const c = await make(store, book, 'c');
  t.deepEqual(subnetsOf(c), ['10.0.2.0/24'], 'what was given back rests');
  t.is(c.VNI, 4097);
  t.is((await make(store, book, 'd')).VNI, 4099);
});

test('every manager goes on where the last network was made, also one that starts later', async (t) => {
  const { store, book, clock } = await world();
  const other = new NetworkBook(store, silentLogger);
  for (const id of ['z', 'y', 'x']) {
    await make(store, book, id);
    await clock.advance(1000);
  }
  await remove(store, 'z');
  const later = new NetworkBook(store, silentLogger);
  for (const each of [book, other, later]) {
    const given = store.transact((transaction) => each.allocate(transaction, 'n', specOf('n', {})));
    t.is((await given).Subnets[0]?.Subnet, '10.0.3.0/24');
  }
});

test('chosen subnets go round what is taken: other networks, the ingress network and hosts', async (t) => {
  const { store, book } = await world(['10.239.254.0/23', '10.240.0.0/12', '11.0.0.0/24']);
  await put(store, 'node', nodeDraft('n', { Status: { State: 'ready', Addr: '10.239.254.9' } }));
  await make(store, book, 'given', { subnets: ['10.255.0.0/24'] }).then(
    () => t.fail('it is a part of the ingress network'),
    () => {},
  );
  t.deepEqual(subnetsOf(await make(store, book, 'a')), ['10.239.255.0/24']);
  t.deepEqual(subnetsOf(await make(store, book, 'b')), ['11.0.0.0/24']);
});

test('a full pool says so, the next pool is used, and what is given back is found again', async (t) => {
  const { store, book } = await world(['10.7.0.0/28', '10.9.0.0/29'], 29);
  const made = [];
  for (const id of ['a', 'b', 'c']) made.push(...subnetsOf(await make(store, book, id)));
  t.deepEqual(made, ['10.7.0.0/29', '10.7.0.8/29', '10.9.0.0/29']);
  await t.throwsAsync(make(store, book, 'd'), {
    code: 'FAILED_PRECONDITION',
    message:
      /^no subnet \/29 of the default address pools \(10\.7\.0\.0\/28, 10\.9\.0\.0\/29\) is free/,
  });
  await remove(store, 'b');
  t.deepEqual(subnetsOf(await make(store, book, 'd')), ['10.7.0.8/29']);
});

test('IPv6 subnets come from a prefix that follows from the cluster’s id', async (t) => {
  const { store, book } = await world();
  const a = subnetsOf(await make(store, book, 'a', { ipv6: true }));
  const b = subnetsOf(await make(store, book, 'b', { ipv6: true }));
  t.regex(a[1]!, /^fd[0-9a-f:]+::\/64$/);
  t.true(Subnet.of('fd00::/8').contains(Subnet.of(a[1]!)));
  t.not(a[1], b[1]);
  t.false(Subnet.of(a[1]!).overlaps(Subnet.of(b[1]!)));
  const again = await world();
  t.deepEqual(subnetsOf(await make(again.store, again.book, 'a', { ipv6: true })), a);
});

test('a subnet that overlaps is refused, and the error says with what', async (t) => {
  const { store, book } = await world();
  await put(store, 'node', nodeDraft('w1'));
  await make(store, book, 'a', { subnets: ['10.1.0.0/16', 'fd01::/64'], ipv6: true });
  for (const [subnet, message] of [
    ['10.1.7.0/24', /10\.1\.7\.0\/24 overlaps with 10\.1\.0\.0\/16 of network a \(a\)/],
    ['10.0.0.0/9', /10\.0\.0\.0\/9 overlaps with 10\.1\.0\.0\/16 of network a/],
    ['10.255.0.0/24', /10\.240\.0\.0\/12 of the ingress network/],
    ['198.18.0.0/24', /the address 198\.18\.0\.1 of node w1/],
    ['fd01::8:0/112', /fd01::\/64 of network a/],
    ['fd73:7761:726d::/64', /fd73:7761:726d::\/96 of the ingress network/],
  ] as const) {
    const asked = { subnets: [subnet], ipv6: subnet.includes(':') };
    const error = await t.throwsAsync(make(store, book, 'b', asked), { instanceOf: ApiError });
    t.is((error as ApiError).code, 'CONFLICT');
    t.regex(error!.message, message);
    t.regex(error!.message, /^Pool overlaps with other one on this address space/);
  }
  await patch(store, 'node', 'w1', (node) => ({ ...node, Status: { State: 'down', Addr: '' } }));
  t.deepEqual(subnetsOf(await make(store, book, 'b', { subnets: ['198.18.0.0/24'] })), [
    '198.18.0.0/24',
  ]);
});

test('a VNI may be chosen, once', async (t) => {
  const { store, book } = await world();
  const options = { [VNI_OPTION]: '5000' };
  t.is((await make(store, book, 'a', { options })).VNI, 5000);
  await t.throwsAsync(make(store, book, 'b', { options }), {
    code: 'CONFLICT',
    message: /VNI 5000 belongs to network a \(a\)/,
  });
  await make(store, book, 'c', { options: { [VNI_OPTION]: '4097' } });
  t.is((await make(store, book, 'd')).VNI, 4098);
});

test('two networks on their way through the log do not get the same', async (t) => {
  const { store, book } = await world();
  const held = store.transact((transaction) => {
    const first = book.allocate(transaction, 'a', specOf('a', {}));
    const second = book.allocate(transaction, 'b', specOf('b', {}));
    return [first, second] as const;
  });
  const [first, second] = await held;
  t.not(first.VNI, second.VNI);
  t.notDeepEqual(first.Subnets, second.Subnets);
  await t.throwsAsync(make(store, book, 'c', { subnets: [second.Subnets[0]!.Subnet] }), {
    code: 'CONFLICT',
  });
  await book.follow('b', Promise.reject(new ApiError('CONFLICT', 'the name is taken')));
  const c = await make(store, book, 'c', { subnets: [second.Subnets[0]!.Subnet] });
  t.is(c.VNI, second.VNI);
});

test('what was proposed and not confirmed stays taken until a later proposal is applied', async (t) => {
  const { store, book } = await world();
  const lost = await store.transact((transaction) =>
    book.allocate(transaction, 'lost', specOf('lost', {})),
  );
  await book.follow('lost', Promise.reject(new ApiError('TIMEOUT', 'not confirmed')));
  const asked = { subnets: [lost.Subnets[0]!.Subnet] };
  await t.throwsAsync(make(store, book, 'a', asked), { code: 'CONFLICT' });
  await make(store, book, 'b');
  t.deepEqual(subnetsOf(await make(store, book, 'a', asked)), asked.subnets);
});

test('subnets that overlap in the store already are all respected', async (t) => {
  const { store, book } = await world();
  const stored = (id: string, text: string, VNI: number) =>
    put(
      store,
      'network',
      networkDraft(id, { Subnets: [{ Subnet: text, Gateway: '10.0.0.1' }], VNI }),
    );
  await stored('wide', '10.0.0.0/22', 4097);
  await stored('narrow', '10.0.1.0/24', 4097);
  t.deepEqual(subnetsOf(await make(store, book, 'a')), ['10.0.4.0/24']);
  await remove(store, 'wide');
  await t.throwsAsync(make(store, book, 'b', { subnets: ['10.0.1.0/25'] }), { code: 'CONFLICT' });
  t.is((await make(store, book, 'b', { subnets: ['10.0.0.0/24'] })).VNI, 4099);
});

test('ten thousand networks later, the next one costs the same', async (t) => {
  const { store, book } = await world(['10.0.0.0/9'], 28);
  const steps = async (id: string) => {
    const began = process.hrtime.bigint();
    await make(store, book, id);
    return Number(process.hrtime.bigint() - began) / 1e6;
  };
  const first: number[] = [];
  const last: number[] = [];
  for (let i = 0; i < 10_000; i += 1) {
    const ms = await steps(`n${String(i).padStart(5, '0')}`);
    if (i < 500) first.push(ms);
    if (i >= 9_500) last.push(ms);
  }
  const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1]!;
  t.log(median(first), median(last));
  // A look at each network would cost hundreds of times as much.
  t.true(median(last) < 10 * median(first) + 1);
});

test('random networks and hosts never overlap, and nothing is lost', async (t) => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant('make' as const),
      ipv6: fc.boolean(),
      subnet: fc.option(
        fc.tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 26, max: 30 })),
        { freq: 2 },
      ),
    }),
    fc.record({ kind: fc.constant('remove' as const), at: fc.nat(20) }),
    fc.record({ kind: fc.constant('node' as const), id: fc.nat(3), host: fc.nat(255) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const { store, book: first } = await world(['10.3.0.0/24'], 28);
      let book = first;
      let next = 0;
      for (const each of actions) {
        if (each.kind === 'make') {
          const subnets =
            each.subnet === null
              ? []
              : [String(Subnet.enclosing(`10.3.0.${each.subnet[0] * 4}/${each.subnet[1]}`))];
          next += 1;
          await make(store, book, `n${next}`, { subnets, ipv6: each.ipv6 }).catch((error) => {
            t.true(error instanceof ApiError, String(error));
            // Refused rightly: chosen ones only when no block of the pool is free.
            if (subnets.length === 0) t.is(free(store), 0);
            else t.true(isTaken(store, Subnet.of(subnets[0]!)), String(error));
          });
        } else if (each.kind === 'remove') {
          const networks = [...store.list('network')].filter(({ Spec }) => !Spec.Ingress);
          const gone = networks[each.at % Math.max(1, networks.length)];
          if (gone !== undefined) await remove(store, gone.ID);
        } else if (each.kind === 'node') {
          const Status = { State: 'ready' as const, Addr: `10.3.0.${each.host}` };
          const ID = `node${each.id}`;
          if (isTaken(store, Subnet.of(`${Status.Addr}/32`))) continue;
          if (store.get('node', ID) === undefined)
            await put(store, 'node', nodeDraft(ID, { Status }));
          else await patch(store, 'node', ID, (node) => ({ ...node, Status }));
        } else {
          book.close();
          book = new NetworkBook(store, silentLogger);
        }
        const taken = [...store.list('network')].flatMap(({ Subnets }) =>
          Subnets.map(({ Subnet: text }) => Subnet.of(text)),
        );
        taken.push(...hosts(store));
        for (const [at, one] of taken.entries())
          for (const other of taken.slice(at + 1)) t.false(one.overlaps(other), `${one} ${other}`);
        const vnis = [...store.list('network')].map(({ VNI }) => VNI);
        t.is(new Set(vnis).size, vnis.length);
      }
      book.close();
    }),
    { numRuns: 150 },
  );
});

function hosts(store: TestStore): Subnet[] {
  return [...new Set([...store.list('node')].map(({ Status }) => `${Status.Addr}/32`))].map(
    Subnet.of,
  );
}

function isTaken(store: TestStore, subnet: Subnet): boolean {
  const networks = [...store.list('network')].flatMap(({ Subnets }) =>
    Subnets.map(({ Subnet: text }) => Subnet.of(text)),
  );
  return [...networks, ...hosts(store)].some((each) => each.overlaps(subnet));
}

/** Blocks of the pool that nothing has a part of. */
function free(store: TestStore): number {
  const pool = Subnet.of('10.3.0.0/24');
  const blocks = Array.from({ length: 16 }, (_, at) => pool.block(28, at)!);
  return blocks.filter((block) => !isTaken(store, block)).length;
}

/** Makes an ingress network as the API does, in place of the one that there is. */
async function remake(store: TestStore, book: NetworkBook, asked: Asked & { gateway?: string }) {
  const before = store.ingressNetwork();
  if (before !== undefined) {
    const [subnet] = subnetsOf(before);
    await patch(store, 'cluster', 'c', (cluster) => ({ ...cluster, IngressSubnet: subnet! }));
    await remove(store, before.ID);
  }
  const spec = { ...specOf('again', asked), Ingress: true };
  const Config = (asked.subnets ?? []).map((Subnet) => ({
    Subnet,
    ...(asked.gateway !== undefined && { Gateway: asked.gateway }),
  }));
  const Spec = { ...spec, IPAM: { Driver: 'default', Config } };
  const proposal = store.transact((transaction) => {
    const given = book.allocate(transaction, 'again', Spec);
    transaction.create('network', { ID: 'again', Spec, ...given });
  });
  await book.follow('again', proposal);
  await proposal;
  return store.get('network', 'again')!;
}

test('an ingress network has the subnet and gateway that it is given; what the last one had is free', async (t) => {
  const { store, book } = await world();
  const mine = await remake(store, book, { subnets: ['10.11.0.0/16'], gateway: '10.11.0.2' });
  t.deepEqual(mine.Subnets, [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.2' }]);
  t.is(mine.VNI, 4096);
  t.deepEqual(subnetsOf(await make(store, book, 'a', { subnets: ['10.240.0.0/16'] })), [
    '10.240.0.0/16',
  ]);
  await t.throwsAsync(make(store, book, 'b', { subnets: ['10.11.7.0/24'] }), {
    message: /10\.11\.7\.0\/24 overlaps with 10\.11\.0\.0\/16 of the ingress network/,
  });
  await patch(store, 'cluster', 'c', (cluster) => ({ ...cluster, IngressSubnet: '10.11.0.0/16' }));
  await remove(store, 'again');
  await t.throwsAsync(make(store, book, 'b', { subnets: ['10.11.7.0/24'] }), {
    message: /10\.11\.0\.0\/16, which nodes use until there is another ingress network/,
  });
  await t.throwsAsync(remake(store, book, {}), {
    code: 'CONFLICT',
    message: /10\.240\.0\.0\/12 overlaps with 10\.240\.0\.0\/16 of network a/,
  });
  t.deepEqual(subnetsOf(await remake(store, book, { subnets: ['10.11.0.0/20'] })), [
    '10.11.0.0/20',
  ]);
  await make(store, book, 'b', { subnets: ['10.11.32.0/24'] });
});

test('an ingress network overlaps with no network and no host', async (t) => {
  const { store, book } = await world();
  await make(store, book, 'a', { subnets: ['10.12.1.0/24'] });
  await put(store, 'node', nodeDraft('n', { Status: { State: 'ready', Addr: '10.13.0.9' } }));
  await t.throwsAsync(remake(store, book, { subnets: ['10.12.0.0/16'] }), {
    code: 'CONFLICT',
    message: /overlaps with 10\.12\.1\.0\/24 of network a/,
  });
  await t.throwsAsync(remake(store, book, { subnets: ['10.13.0.0/16'] }), {
    code: 'CONFLICT',
    message: /the address 10\.13\.0\.9 of node n/,
  });
  t.deepEqual(subnetsOf(await make(store, book, 'c')), ['10.0.0.0/24'], 'nothing is held in vain');
});

test('an ingress network has room for every node, and each node knows what it is', async (t) => {
  const { store, book } = await world();
  for (let n = 1; n <= 8; n += 1) {
    await put(store, 'node', nodeDraft(`n${n}`));
    await runs(store, `n${n}`, PROGRAM);
  }
  const small = { subnets: ['10.11.0.0/26'] };
  await t.throwsAsync(remake(store, book, small), {
    code: 'FAILED_PRECONDITION',
    message: /10\.11\.0\.0\/26 has room for 7 nodes with 5 tasks each, and the cluster has 8 nodes/,
  });
  await store.transact((transaction) => transaction.remove('node', 'n8'));
  await runs(store, 'n1', OLD_PROGRAM);
  for (const asked of [small, { options: { 'com.docker.network.driver.mtu': '1200' } }]) {
    await t.throwsAsync(remake(store, book, asked), {
      code: 'FAILED_PRECONDITION',
      message: /^node \S+ runs swarm 0\.0\.9, which only knows an ingress network with 10\.240/,
    });
  }
  await remake(store, book, {});
  await remove(store, 'again');
  await store.transact((transaction) => transaction.remove('node', 'n1'));
  t.deepEqual(subnetsOf(await remake(store, book, small)), ['10.11.0.0/26']);
});

const runs = (store: TestStore, id: string, program: Program) =>
  patch(store, 'node', id, (node) => ({
    ...node,
    Description: { ...node.Description!, Program: program },
  }));

const OLD_PROGRAM = {
  Version: '0.0.9',
  Protocol: { Oldest: 1, Newest: 2 },
  FeatureLevel: { Oldest: 3, Newest: 4 },
};

test('an ingress network without a subnet comes from the pools that the cluster was given', async (t) => {
  const first = async (pools: readonly string[], subnetSize = 24) => {
    const { store, book } = await world(pools, subnetSize);
    return subnetsOf(await remake(store, book, {}))[0];
  };
  t.is(await first(['10.0.0.0/8']), '10.240.0.0/12');
  t.is(await first(['10.20.0.0/16']), '10.20.0.0/18');
  t.is(await first(['172.0.0.0/9']), '172.0.0.0/12');
  t.is(await first(['10.20.0.0/25'], 27), '10.20.0.0/26');
  t.is(await first(['10.20.0.0/28', '10.21.0.0/20'], 29), '10.21.0.0/22', 'the first is too small');
  const { store, book } = await world(['10.20.0.0/16']);
  await put(store, 'node', nodeDraft('n', { Status: { State: 'ready', Addr: '10.20.3.9' } }));
  await runs(store, 'n', PROGRAM);
  t.is(subnetsOf(await remake(store, book, {}))[0], '10.20.64.0/18', 'a host is in the first part');
  t.deepEqual(subnetsOf(await make(store, book, 'a')), ['10.20.0.0/24']);
});
