import { nodeBlock, silentLogger, Subnet, systemClock } from '@swarm/api';
import test from 'ava';
import { subnetText } from '../src/address.js';
import { type CheckedPeer, readPeer } from '../src/checked.js';
import { type CheckedIngress, DEFAULT_INGRESS, readIngress } from '../src/ingress.js';
import { TUNNEL_DEVICE } from '../src/layout.js';
import { PeerSection } from '../src/tunnel/peer-section.js';
import { VxlanTunnel } from '../src/tunnel/vxlan-tunnel.js';
import { rawPeer } from './support/checked.js';
import { fakeKernel } from './support/fake-kernel.js';
import { PaperHost } from './support/paper-host.js';

const OTHER: CheckedIngress = readIngress({ subnet: '10.11.0.0/20', mtuBytes: 1200 });

const at = ({ subnet }: CheckedIngress, index: number): CheckedPeer => {
  const network = Subnet.of(subnet);
  return readPeer({ ...rawPeer(index), subnet: `${nodeBlock(network, index)}` }, network);
};
const peersAt = (ingress: CheckedIngress, ...indexes: number[]) =>
  new Map(indexes.map((index) => [`node${index}`, at(ingress, index)] as const));

function world() {
  const host = new PaperHost();
  const told: string[] = [];
  const run: PaperHost['run'] = (program, args, input) => {
    told.push(...(input ?? '').split('\n'));
    return host.run(program, args, input);
  };
  const create = () =>
    new VxlanTunnel({
      kernel: fakeKernel(run),
      logger: silentLogger,
      clock: systemClock(),
      port: 4789,
      section: new PeerSection(),
    });
  return { host, told, create };
}

test('a node moves to another ingress network without making its device again', async (t) => {
  const { host, told, create } = world();
  const tunnel = create();
  await tunnel.start(at(DEFAULT_INGRESS, 1), DEFAULT_INGRESS);
  await tunnel.reach(peersAt(DEFAULT_INGRESS, 1, 2, 3));
  told.length = 0;
  await tunnel.start(at(OTHER, 1), OTHER);
  t.deepEqual(host.at(TUNNEL_DEVICE), ['10.11.0.65']);
  t.deepEqual(host.blackholes, ['10.11.0.64/26']);
  const old = ['10.240.2.0/24', '10.240.3.0/24'];
  t.deepEqual(host.through(TUNNEL_DEVICE), old, 'packets go on meanwhile');
  await tunnel.reach(peersAt(OTHER, 1, 2, 3));
  t.deepEqual(host.through(TUNNEL_DEVICE), [...old, '10.11.0.128/26', '10.11.0.192/26']);
  await tunnel.prune(peersAt(OTHER, 1, 2, 3));
  t.deepEqual(host.through(TUNNEL_DEVICE), ['10.11.0.128/26', '10.11.0.192/26']);
  t.deepEqual(host.neighbours, ['10.11.0.129', '10.11.0.193']);
  t.false(
    told.some((line) => /link (add|del)|rule del|fdb del|flush/.test(line)),
    'what goes by a node’s index is the same in each network',
  );
  t.true(
    told.includes('route replace 10.11.0.128/26 via 10.11.0.129 dev swarm-vxlan onlink mtu 1200'),
    told.join('\n'),
  );
  t.false(await tunnel.repair(), 'nothing is missing');
});

test('a daemon that slept through a move leaves nothing of the old network', async (t) => {
  const { host, create } = world();
  const before = create();
  await before.start(at(OTHER, 1), OTHER);
  await before.reach(peersAt(OTHER, 1, 2, 3));
  await host.run('ip', ['-batch', '-'], 'route replace blackhole 10.0.0.0/8\n');
  const tunnel = create();
  await tunnel.start(at(DEFAULT_INGRESS, 1), DEFAULT_INGRESS);
  await tunnel.reach(peersAt(DEFAULT_INGRESS, 1, 2));
  await tunnel.prune(peersAt(DEFAULT_INGRESS, 1, 2));
  t.deepEqual(host.at(TUNNEL_DEVICE), ['10.240.1.1']);
  t.deepEqual(host.blackholes, ['10.0.0.0/8', '10.240.1.0/24'], 'that of others stays');
  t.deepEqual(host.through(TUNNEL_DEVICE), ['10.240.2.0/24']);
  t.deepEqual(host.neighbours, ['10.240.2.1']);
  await tunnel.close();
  t.deepEqual(host.blackholes, ['10.0.0.0/8']);
});

test('an ingress network that nodes cannot use is refused', (t) => {
  t.deepEqual(readIngress(undefined), DEFAULT_INGRESS);
  for (const value of [
    { subnet: '10.11.0.0/8' },
    { subnet: '10.11.0.0/27' },
    { subnet: '10.11.0.1/16' },
    { subnet: 'fd00::/64' },
    { subnet: '10.11.0.0/16\nlink del eth0' },
    { subnet: '10.11.0.0/16', mtuBytes: 67 },
    { subnet: '10.11.0.0/16', mtuBytes: 65_536 },
    { subnet: '10.11.0.0/16', mtuBytes: 1200.5 },
  ])
    t.throws(() => readIngress(value), undefined, JSON.stringify(value));
  t.is(readIngress({ subnet: '10.11.0.0/16' }).subnet, subnetText(Subnet.of('10.11.0.0/16'))!);
});
