import { silentLogger } from '@swarm/api';
import test from 'ava';
import { CommandError, type RunCommand } from '../src/kernel/command.js';
import { Tunnel } from '../src/nftables/tunnel.js';

const peer = (index: number) => ({
  nodeId: `node${index}`,
  index,
  address: `198.18.${index >> 8}.${index & 255}`,
  subnet: `10.${240 + (index >> 8)}.${index & 255}.0/24`,
});
const peers = (...indexes: number[]) =>
  new Map(indexes.map((index) => [`node${index}`, peer(index)] as const));

/** A host with one device; keeps what it is told. */
function fakeHost(): { run: RunCommand; told: string[]; fail: { next: boolean } } {
  const told: string[] = [];
  const fail = { next: false };
  const run: RunCommand = async (program, args, input) => {
    const line = args.join(' ');
    if (line.startsWith('-j -d addr')) {
      return '[{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"198.18.0.1"}]}]';
    }
    if (line.startsWith('-j')) return '[]';
    if (fail.next && program === 'bridge') {
      fail.next = false;
      throw new CommandError('bridge', 'no');
    }
    told.push(...(input ?? '').split('\n').filter((command) => command !== ''));
    return '';
  };
  return { run, told, fail };
}

async function startedTunnel(host = fakeHost()) {
  const tunnel = new Tunnel({ run: host.run, logger: silentLogger, port: 4789 });
  await tunnel.start(peer(1));
  return { tunnel, ...host };
}

test('the device has the node in its MAC, leaves room for its own headers, and learns nothing', async (t) => {
  const { tunnel, told } = await startedTunnel();
  t.is(tunnel.mtuBytes, 1450);
  t.is(
    told[0],
    'link add swarm-vxlan address 02:00:00:00:00:01 type vxlan id 4096 local 198.18.0.1 dstport 4789 nolearning noudpcsum',
  );
  t.true(told.includes('route replace blackhole 10.240.1.0/24'));
});

test('a packet walks 128 rules at most, however many nodes there are', async (t) => {
  const { tunnel, told } = await startedTunnel();
  const all = Array.from({ length: 4094 }, (_, i) => i + 2);
  await tunnel.add(peers(...all));
  const prefs = told
    .filter((line) => line.startsWith('rule add'))
    .map((line) => Number(line.split(' ')[3]));
  t.is(new Set(prefs).size, prefs.length, 'no two share a place');
  const groups = prefs.filter((pref) => pref > 12_000 && pref < 12_100).length;
  t.is(groups, 64);
  t.true(Math.max(...prefs.filter((pref) => pref !== 17_000)) < 17_000);
  t.true(
    told.includes('rule add pref 16322 fwmark 0xfff00000/0xfff00000 lookup 7999487') &&
      told.includes('rule add pref 12064 fwmark 0xfc000000/0xfc000000 goto 16258'),
    told.slice(-3).join(),
  );
});

test('what is there already is not told again; what is gone is taken away', async (t) => {
  const { tunnel, told } = await startedTunnel();
  await tunnel.add(peers(1, 2, 3));
  told.length = 0;
  await tunnel.add(peers(1, 2, 3));
  t.deepEqual(told, []);
  await tunnel.prune(peers(1, 2));
  t.deepEqual(told, [
    'rule del pref 12104',
    'route flush table 7995395',
    'route del 10.240.3.0/24 dev swarm-vxlan',
    'neigh del 10.240.3.1 dev swarm-vxlan',
    'fdb del 02:00:00:00:00:03 dev swarm-vxlan self',
  ]);
});

test('peers whose routes could not be made are tried again', async (t) => {
  const { tunnel, told, fail } = await startedTunnel();
  fail.next = true;
  await t.throwsAsync(tunnel.add(peers(1, 2)));
  told.length = 0;
  await tunnel.add(peers(1, 2));
  t.true(told.includes('route replace 10.240.2.0/24 via 10.240.2.1 dev swarm-vxlan onlink'));
});

test('a data path address that no device has is an error that names the option', async (t) => {
  const { run } = fakeHost();
  const tunnel = new Tunnel({ run, logger: silentLogger, port: 4789 });
  await t.throwsAsync(tunnel.start(peer(9)), { message: /198\.18\.0\.9; .*--data-path-addr/ });
});
