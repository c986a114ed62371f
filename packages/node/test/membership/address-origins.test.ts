import type { networkInterfaces } from 'node:os';
import test from 'ava';
import type { LocalState } from '../../src/files/local-state.js';
import {
  addressesNow,
  type HostView,
  originsOf,
  withAddresses,
} from '../../src/membership/address-origins.js';

type Interfaces = ReturnType<typeof networkInterfaces>;

/** Interfaces by name, with their addresses. */
function host(addresses: Readonly<Record<string, readonly string[]>>): Interfaces {
  const entry = (address: string) => ({
    address,
    family: address.includes(':') ? 'IPv6' : 'IPv4',
    internal: address.startsWith('127.'),
  });
  return Object.fromEntries(
    Object.entries({ lo: ['127.0.0.1'], ...addresses }).map(([name, list]) => [
      name,
      list.map(entry),
    ]),
  ) as never;
}

const NOTHING = { listenAddr: '', advertiseAddr: '', dataPathAddr: '' };
const OLD = host({ eth0: ['198.18.0.11'] });

function stateOf(
  given: Partial<typeof NOTHING> = {},
  interfaces: Interfaces = OLD,
  advertiseAddress = '198.18.0.11:2377',
): LocalState {
  const at = advertiseAddress.slice(0, advertiseAddress.lastIndexOf(':')).replace(/[[\]]/g, '');
  return {
    clusterId: 'c1',
    nodeId: 'n1',
    advertiseAddress,
    listen: { host: '0.0.0.0', port: 2377 },
    dataPathAddress: at,
    dataPathPort: 4789,
    addressOrigins: originsOf({ ...NOTHING, ...given }, interfaces),
    managers: [],
  };
}

const now = (state: LocalState, view: Partial<HostView> & Pick<HostView, 'interfaces'>) => {
  const { state: next, problem } = addressesNow(state, {
    ...{ towards: '', isSettled: false },
    ...view,
  });
  return [next.advertiseAddress, next.dataPathAddress, problem];
};

test('addresses that the host has stay, whatever else it has', (t) => {
  const interfaces = host({ eth0: ['198.18.0.11'], eth1: ['198.19.0.1'] });
  const view = { interfaces, towards: '198.19.0.1', isSettled: true };
  t.deepEqual(now(stateOf(), view), ['198.18.0.11:2377', '198.18.0.11', '']);
});

test('a detected address that is gone is found on the way to other managers, with its data path', (t) => {
  const interfaces = host({ eth0: ['198.18.0.21'], eth1: ['198.19.0.1'] });
  t.deepEqual(now(stateOf(), { interfaces, towards: '198.18.0.21' }), [
    '198.18.0.21:2377',
    '198.18.0.21',
    '',
  ]);
  const far = now(stateOf(), { interfaces, isSettled: true });
  t.is(far[0], '198.18.0.11:2377', 'without a way there is no reason to prefer one');
  t.regex(
    far[2]!,
    /no longer has the advertise address 198\.18\.0\.11.*198\.18\.0\.21 on eth0, 198\.19\.0\.1 on eth1.*swarm reconnect --advertise-addr ADDRESS/,
  );
});

test('without a way the only address is taken, but not while the host may still be starting', (t) => {
  const interfaces = host({ eth0: ['198.19.0.1'], docker0: ['172.17.0.1'] });
  t.regex(now(stateOf(), { interfaces })[2]!, /takes 198\.19\.0\.1 if that stays so/);
  t.is(now(stateOf(), { interfaces, isSettled: true })[0], '198.19.0.1:2377');
  const none = now(stateOf(), { interfaces: host({}), isSettled: true });
  t.is(none[0], '198.18.0.11:2377');
  t.regex(none[2]!, /and no other/);
});

test('the port and the family of an address stay', (t) => {
  const v6 = stateOf({}, host({ eth0: ['fd00::1'] }), '[fd00::1]:2400');
  const interfaces = host({ eth0: ['198.18.0.9', 'fe80::1', 'FD00::2'] });
  t.deepEqual(now(v6, { interfaces, isSettled: true }), ['[FD00::2]:2400', 'FD00::2', '']);
  t.deepEqual(now(v6, { interfaces: host({ eth0: ['FD00:0::1'] }) })[2], '', 'another spelling');
});

test('an address that the user gave is not replaced; the problem says what to run', (t) => {
  const given = stateOf({ advertiseAddr: '198.18.0.11' });
  const interfaces = host({ eth0: ['198.18.0.21'] });
  const view = { interfaces, towards: '198.18.0.21', isSettled: true };
  const [advertise, , problem] = now(given, view);
  t.is(advertise, '198.18.0.11:2377');
  t.regex(problem!, /'swarm reconnect --advertise-addr ADDRESS'/);
  const dataPath = { ...stateOf({ dataPathAddr: '198.18.7.1' }, host({ eth1: ['198.18.7.1'] })) };
  const own = { ...dataPath, dataPathAddress: '198.18.7.1' };
  t.deepEqual(now(own, view).slice(0, 2), ['198.18.0.21:2377', '198.18.7.1']);
  t.regex(now(own, view)[2]!, /data path address 198\.18\.7\.1: 'swarm reconnect --data-path-addr/);
});

test('an address that was never one of the host is not looked for', (t) => {
  const nat = stateOf({ advertiseAddr: '203.0.113.7' }, OLD, '203.0.113.7:2377');
  t.deepEqual(now(nat, { interfaces: OLD, isSettled: true }), [
    '203.0.113.7:2377',
    '203.0.113.7',
    '',
  ]);
});

test('the name of an interface stands for the address that it has now', (t) => {
  const named = stateOf({ advertiseAddr: 'eth0:2377' });
  const interfaces = host({ eth0: ['198.18.0.21'], eth1: ['198.19.0.1'] });
  t.is(now(named, { interfaces, towards: '198.19.0.1' })[0], '198.18.0.21:2377');
  t.regex(
    now(named, { interfaces: host({ eth1: ['198.19.0.1'] }) })[2]!,
    /interface eth0 has none/,
  );
});

test('a state of an earlier version: what the host has was detected, anything else given', (t) => {
  const { addressOrigins: _, ...earlier } = stateOf();
  t.deepEqual(addressesNow(earlier, { interfaces: OLD, towards: '', isSettled: false }).state, {
    ...earlier,
    addressOrigins: { listen: 'given', advertise: 'detected', dataPath: 'follows' },
  });
  const interfaces = host({ eth0: ['198.18.0.21'] });
  t.regex(now(earlier, { interfaces, isSettled: true })[2]!, /swarm reconnect/);
});

test('a user changes one address, and those that follow it', (t) => {
  const interfaces = host({ eth0: ['198.18.0.21'], eth1: ['198.19.0.1'] });
  const moved = withAddresses(stateOf(), { ...NOTHING, advertiseAddr: '198.18.0.21' }, interfaces);
  t.is(moved.advertiseAddress, '198.18.0.21:2377');
  t.is(moved.dataPathAddress, '198.18.0.21');
  t.is(moved.addressOrigins?.advertise, 'given');
  const apart = withAddresses(moved, { ...NOTHING, dataPathAddr: 'eth1' }, interfaces);
  t.is(apart.advertiseAddress, '198.18.0.21:2377');
  t.is(apart.dataPathAddress, '198.19.0.1');
  t.is(apart.addressOrigins?.dataPath, 'interface eth1');
  const listening = withAddresses(
    stateOf(),
    { ...NOTHING, listenAddr: '198.18.0.21:2400', advertiseAddr: '198.18.0.21' },
    interfaces,
  );
  t.deepEqual(listening.listen, { host: '198.18.0.21', port: 2400 });
  t.is(listening.advertiseAddress, '198.18.0.21:2400');
  t.deepEqual(withAddresses(stateOf(), NOTHING, interfaces), stateOf());
  const v6 = withAddresses(stateOf(), { ...NOTHING, advertiseAddr: 'fd00::1' }, interfaces);
  t.is(v6.advertiseAddress, '[fd00::1]:2377');
  t.is(v6.listen.host, '::', 'it can be reached there');
  t.throws(() => withAddresses(stateOf(), { ...NOTHING, advertiseAddr: 'eth9' }, interfaces), {
    message: /invalid advertise address "eth9"/,
  });
});
