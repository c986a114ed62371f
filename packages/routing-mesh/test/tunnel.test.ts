import { type Logger, silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import { CommandError, type RunCommand } from '../src/kernel/command.js';
import { DEFAULT_INGRESS } from '../src/ingress.js';
import { PeerSection } from '../src/tunnel/peer-section.js';
import { VxlanTunnel } from '../src/tunnel/vxlan-tunnel.js';
import { peer } from './support/checked.js';
import { fakeKernel } from './support/fake-kernel.js';

const peers = (...indexes: number[]) =>
  new Map(indexes.map((index) => [`node${index}`, peer(index)] as const));

/** A host with one device and a tunnel; keeps what it is told, up to the line that it refuses. */
class FakeHost {
  readonly told: string[] = [];
  readonly logged: string[] = [];
  /** Batches so far. */
  batches = 0;
  nowMs = 0;
  refuses = (_line: string): boolean => false;
  isTunnelThere = true;

  readonly run: RunCommand = async (program, args, input) => {
    const line = args.join(' ');
    if (line.startsWith('-j -d addr')) {
      return '[{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"198.18.0.1"}]}]';
    }
    if (line === '-j link show type vxlan') {
      return this.isTunnelThere ? '[{"ifname":"swarm-vxlan"}]' : '[]';
    }
    if (line.startsWith('-j')) return '[]';
    this.batches += 1;
    for (const command of (input ?? '').split('\n')) {
      if (this.refuses(command)) throw new CommandError(program, `refused: ${command}`);
      if (command !== '') this.told.push(command);
    }
    return '';
  };

  async tunnel(self = peer(1)): Promise<VxlanTunnel> {
    const logger: Logger = {
      ...silentLogger,
      warn: (_fields: object, message: string) => this.logged.push(message),
    };
    const clock = { ...systemClock(), monotonicMs: () => this.nowMs };
    const tunnel = new VxlanTunnel({
      kernel: fakeKernel(this.run),
      logger,
      clock,
      port: 4789,
      section: new PeerSection(),
    });
    await tunnel.start(self, DEFAULT_INGRESS);
    return tunnel;
  }

  /** Whether the routes to the peer were made. */
  has(index: number): boolean {
    const { subnet } = peer(index);
    return this.told.some((line) => line.startsWith(`route replace ${subnet} via`));
  }
}

async function startedTunnel() {
  const host = new FakeHost();
  return { tunnel: await host.tunnel(), host, told: host.told };
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
  await tunnel.reach(peers(...all));
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

test('what exists is not written again; what is gone is removed', async (t) => {
  const { tunnel, told } = await startedTunnel();
  await tunnel.reach(peers(1, 2, 3));
  told.length = 0;
  await tunnel.reach(peers(1, 2, 3));
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

test('a peer that the kernel rejects is left out and named, and the others are added', async (t) => {
  const { tunnel, host } = await startedTunnel();
  const all = Array.from({ length: 20 }, (_, i) => i + 2);
  host.refuses = (line) => line.startsWith('fdb replace') && / 198\.18\.0\.(7|13) /.test(line);
  t.deepEqual([...(await tunnel.reach(peers(...all)))].sort(), ['node13', 'node7']);
  for (const index of all) t.is(host.has(index), index !== 7 && index !== 13, `node${index}`);
  t.is(host.logged.length, 2);
  t.regex(host.logged.join(), /node7 at 198\.18\.0\.7, .*node13 at/s);
});

test('the half-made remains of a rejected peer are removed', async (t) => {
  const { tunnel, host, told } = await startedTunnel();
  host.refuses = (line) => line.startsWith('route replace 10.240.3.0/24');
  t.deepEqual([...(await tunnel.reach(peers(2, 3)))], ['node3']);
  t.true(told.includes('fdb del 02:00:00:00:00:03 dev swarm-vxlan self'));
  t.true(told.includes('neigh del 10.240.3.1 dev swarm-vxlan'));
});

test('a refused peer is tried again after pauses that double, named once', async (t) => {
  const { tunnel, host } = await startedTunnel();
  host.refuses = (line) => line.includes(' 198.18.0.3 ');
  await tunnel.reach(peers(2, 3));
  const attempts: number[] = [];
  for (let second = 1; second <= 3600; second += 1) {
    host.nowMs = second * 1000;
    if (!tunnel.isRetryDue) continue;
    attempts.push(second);
    t.deepEqual([...(await tunnel.reach(peers(2, 3)))], ['node3']);
  }
  t.deepEqual(attempts, [15, 45, 105, 225, 465, 945, 1545, 2145, 2745, 3345]);
  t.is(host.logged.length, 1);
  host.refuses = () => false;
  host.nowMs += 600_000;
  t.deepEqual([...(await tunnel.reach(peers(2, 3)))], []);
  t.true(host.has(3));
  t.false(tunnel.isRetryDue);
});

test('a refused peer that gets another address is tried at once', async (t) => {
  const { tunnel, host } = await startedTunnel();
  host.refuses = (line) => line.includes(' 198.18.0.3 ');
  await tunnel.reach(peers(2, 3));
  const moved = new Map(peers(2)).set('node3', { ...peer(3), address: peer(9).address });
  t.deepEqual([...(await tunnel.reach(moved))], []);
  t.true(host.has(3));
});

test('the search for refused peers ends, however many there are', async (t) => {
  const { tunnel, host } = await startedTunnel();
  host.refuses = (line) => line.startsWith('fdb replace');
  host.batches = 0;
  const all = Array.from({ length: 4094 }, (_, i) => i + 2);
  t.is((await tunnel.reach(peers(...all))).size, 4094);
  t.true(host.batches < 400, `${host.batches} batches`);
});

test('when the device is gone no peer is blamed: the caller gets the error', async (t) => {
  const { tunnel, host } = await startedTunnel();
  host.isTunnelThere = false;
  host.refuses = (line) => line.startsWith('fdb replace');
  await t.throwsAsync(tunnel.reach(peers(1, 2)), { instanceOf: CommandError });
  host.isTunnelThere = true;
  host.refuses = () => false;
  t.is((await tunnel.reach(peers(1, 2))).size, 0);
  t.true(host.told.includes('route replace 10.240.2.0/24 via 10.240.2.1 dev swarm-vxlan onlink'));
});

test('nothing is tunnelled to a node without a tunnel, whose address may be another’s', async (t) => {
  const { tunnel, told } = await startedTunnel();
  told.length = 0;
  const shared = { ...peer(3), address: peer(2).address, userspace: true };
  await tunnel.reach(new Map(peers(2)).set('node3', shared));
  t.is(told.filter((line) => line.startsWith('fdb replace')).length, 1);
  t.false(told.some((line) => line.includes('10.240.3.')));
});

test('a data path address that no device has is an error that names the option', async (t) => {
  await t.throwsAsync(new FakeHost().tunnel(peer(9)), {
    message: /198\.18\.0\.9; .*--data-path-addr/,
  });
});
