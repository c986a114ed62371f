import { SerialQueue, silentLogger } from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import type { LocalState } from '../../src/files/local-state.js';
import { AddressKeeper, GONE_FOR_MS } from '../../src/membership/address-keeper.js';

const STATE: LocalState = {
  clusterId: 'c1',
  nodeId: 'n1',
  advertiseAddress: '198.18.0.11:2377',
  listen: { host: '0.0.0.0', port: 2377 },
  dataPathAddress: '198.18.0.11',
  dataPathPort: 4789,
  addressOrigins: { listen: 'given', advertise: 'detected', dataPath: 'follows' },
  managers: [],
};

function world() {
  const clock = new VirtualClock(0);
  const host = {
    listed: ['198.18.0.11'] as string[],
    silent: [] as string[],
    towards: '',
    asked: 0,
  };
  const files = { state: STATE };
  const moves: string[] = [];
  const warnings: string[] = [];
  const keeper = new AddressKeeper({
    clock,
    logger: {
      ...silentLogger,
      warn: (fields: { problem: string }) => warnings.push(fields.problem),
    } as never,
    files: files as never,
    changes: new SerialQueue(),
    others: () => ['198.18.0.12:2377'],
    host: {
      networkInterfaces: () =>
        ({ eth0: host.listed.map((address) => ({ address, family: 'IPv4' })) }) as never,
      async hasAddress(address) {
        host.asked += 1;
        return host.silent.includes(address);
      },
      sourceTowards: async () => host.towards,
    },
    async moved(state) {
      files.state = state;
      moves.push(state.advertiseAddress);
    },
  });
  return { clock, host, keeper, moves, warnings };
}

test('an address that is gone for a moment, as while it is renewed, moves nothing', async (t) => {
  const { clock, host, keeper, moves, warnings } = world();
  keeper.watch();
  await clock.advance(20_000);
  t.is(host.asked, 0, 'the table of the kernel says enough');
  host.listed = ['198.18.0.21'];
  host.towards = '198.18.0.21';
  await clock.advance(5_000);
  host.listed = ['198.18.0.11', '198.18.0.21'];
  await clock.advance(60_000);
  t.deepEqual([moves, warnings, keeper.problem], [[], [], '']);
  keeper.stop();
});

test('one that is gone twice is found again; a watch that ended looks no more', async (t) => {
  const { clock, host, keeper, moves } = world();
  keeper.watch();
  host.listed = ['198.18.0.21', '198.19.0.1'];
  host.towards = '198.18.0.21';
  await clock.advance(10_000);
  t.deepEqual(moves, ['198.18.0.21:2377']);
  await clock.advance(60_000);
  keeper.stop();
  host.listed = ['198.18.0.31'];
  await clock.advance(60_000);
  t.deepEqual(moves, ['198.18.0.21:2377']);
  t.is(clock.pending, 0);
});

test('a pulled cable moves nothing, even with an address on another network', async (t) => {
  const { clock, host, keeper, moves, warnings } = world();
  keeper.watch();
  host.listed = ['198.19.0.1'];
  host.silent = ['198.18.0.11'];
  host.towards = '198.19.0.1';
  await clock.advance(10 * GONE_FOR_MS);
  t.deepEqual([moves, warnings], [[], []]);
  keeper.stop();
});

test('at the start the route tells at once; without one the node waits, and says so', async (t) => {
  const { clock, host, keeper, warnings } = world();
  host.listed = ['198.18.0.21'];
  t.is((await keeper.look(true))?.advertiseAddress, '198.18.0.11:2377');
  t.regex(keeper.problem, /no longer has the advertise address 198\.18\.0\.11; the node takes/);
  t.is(warnings.length, 1);
  await clock.advance(GONE_FOR_MS);
  t.is((await keeper.look())?.advertiseAddress, '198.18.0.21:2377');
  t.is(keeper.problem, '');
  const other = world();
  other.host.listed = ['198.18.0.21', '198.19.0.1'];
  other.host.towards = '198.18.0.21';
  t.is((await other.keeper.look(true))?.advertiseAddress, '198.18.0.21:2377');
});
