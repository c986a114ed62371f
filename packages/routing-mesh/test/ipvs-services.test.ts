import test from 'ava';
import { type MeshEndpoint, type MeshPort, silentLogger } from '@swarm/api';
import { IpvsLeftovers } from '../src/balancer/ipvs/ipvs-leftovers.js';
import { IpvsServices } from '../src/balancer/ipvs/ipvs-services.js';
import { IpvsSettings } from '../src/balancer/ipvs/ipvs-settings.js';
import { IpvsSocket } from '../src/balancer/ipvs/ipvs-socket.js';
import { Model } from '../src/balancer/nftables/model.js';
import { checkedState, ip, peer, rawPeer } from './support/checked.js';
import { PaperIpvs } from './support/paper-ipvs.js';

/** tcp/8080 and udp/8080. */
const [TCP, UDP] = [0x40000 + 8080, 0x50000 + 8080];

function endpoint(node: number, last: number, more: Partial<MeshEndpoint> = {}): MeshEndpoint {
  const address = `10.240.${node}.${last}`;
  return { taskId: `t${node}${last}`, nodeId: `node${node}`, address, port: 80, ...more };
}

function port(endpoints: readonly MeshEndpoint[], more: Partial<MeshPort> = {}): MeshPort {
  return { protocol: 'tcp', publishedPort: 8080, serviceId: 's', endpoints, ...more };
}

async function opened(paper = new PaperIpvs()) {
  const socket = await IpvsSocket.open(paper.kernel(), true);
  const services = new IpvsServices(socket, { hasIpv6: true });
  const model = new Model();
  paper.take();
  return {
    ...{ paper, services, socket },
    hold(ports: readonly MeshPort[], gone: readonly string[] = []) {
      const peers = [1, 2, 3].map(rawPeer);
      const state = checkedState({ generation: 1, peers, ports });
      const changes = model.follow({ ...state, touched: undefined }, peer(1));
      const isGone = (address: string) => gone.some((start) => address.startsWith(start));
      services.follow(changes, isGone, gone.length > 0);
      return paper.take();
    },
    destination: (mark: number, address: string, family = 2) => {
      const bytes = Buffer.from(address.split('.').map(Number)).toString('hex');
      return paper.services
        .get(`${family} ${mark}`)!
        .destinations.get(`${bytes}${'0'.repeat(24)} 0050`)!;
    },
  };
}

test('an open socket has tried every kind of service, and left none', async (t) => {
  const paper = new PaperIpvs();
  await IpvsSocket.open(paper.kernel(), true);
  const probes = (family: number) =>
    ['wrr', 'mh'].flatMap((name) => [
      `new service ${family} ${0x70000} ${name}`,
      `delete service ${family} ${0x70000}`,
    ]);
  t.deepEqual(paper.take(), [...probes(2), ...probes(10)]);
  paper.refuses = 2;
  await t.throwsAsync(IpvsSocket.open(paper.kernel(), true), { message: /module ip_vs_wrr/ });
  paper.isMissing = true;
  await t.throwsAsync(IpvsSocket.open(paper.kernel(), true), { message: /has no IPVS.*ip_vs/ });
});

test('a change of endpoints changes one service, what is new first', async (t) => {
  const { hold } = await opened();
  t.deepEqual(hold([port([endpoint(1, 2), endpoint(2, 3, { ipv6: true })])]), [
    `new service 2 ${TCP} wrr`,
    `new destination 2 ${TCP} 10.240.1.2:80 1`,
    `new destination 2 ${TCP} 10.240.2.3:80 1`,
    `new service 10 ${TCP} wrr`,
    `new destination 10 ${TCP} 253.115.119.97:80 1`,
  ]);
  t.deepEqual(hold([port([endpoint(1, 2), endpoint(2, 3, { ipv6: true })])]), []);
  t.deepEqual(hold([port([endpoint(1, 2, { weight: 4 }), endpoint(3, 4)])]), [
    `new destination 2 ${TCP} 10.240.3.4:80 1`,
    `set destination 2 ${TCP} 10.240.1.2:80 4`,
    `set destination 2 ${TCP} 10.240.2.3:80 0`,
    `set destination 10 ${TCP} 253.115.119.97:80 0`,
  ]);
  t.deepEqual(
    hold([port([endpoint(1, 2, { weight: 4 }), endpoint(3, 4)], { affinity: 'client' })]),
    [`set service 2 ${TCP} mh`],
  );
});

test('an endpoint that goes keeps its connections, and is removed after the last', async (t) => {
  const { hold, services, paper, destination } = await opened();
  hold([port([endpoint(1, 2), endpoint(2, 3)])]);
  destination(TCP, '10.240.1.2').connections = 1;
  t.deepEqual(hold([port([endpoint(2, 3)])]), [`set destination 2 ${TCP} 10.240.1.2:80 0`]);
  t.false(services.repair());
  t.deepEqual(paper.take(), [], 'it has a connection');
  t.deepEqual(hold([port([endpoint(1, 2), endpoint(2, 3)])]), [
    `set destination 2 ${TCP} 10.240.1.2:80 1`,
  ]);
  t.deepEqual(hold([]).sort(), [
    `set destination 2 ${TCP} 10.240.1.2:80 0`,
    `set destination 2 ${TCP} 10.240.2.3:80 0`,
  ]);
  t.false(services.repair());
  t.deepEqual(paper.take(), [`delete destination 2 ${TCP} 10.240.2.3:80`]);
  destination(TCP, '10.240.1.2').connections = 0;
  t.false(services.repair());
  t.deepEqual(paper.take(), [
    `delete destination 2 ${TCP} 10.240.1.2:80`,
    `delete service 2 ${TCP}`,
  ]);
  t.false(services.repair());
  t.deepEqual(paper.take(), []);
});

test('datagrams move at once, and so does everything to a node that is gone', async (t) => {
  const { hold, destination } = await opened();
  const udp = { protocol: 'udp' } as const;
  hold([port([endpoint(1, 2), endpoint(2, 3)]), port([endpoint(1, 2), endpoint(2, 3)], udp)]);
  destination(TCP, '10.240.2.3').connections = 1;
  t.deepEqual(hold([port([endpoint(1, 2)]), port([endpoint(1, 2)], udp)]), [
    `set destination 2 ${TCP} 10.240.2.3:80 0`,
    `delete destination 2 ${UDP} 10.240.2.3:80`,
  ]);
  // Nothing changes but that the node is gone: what drains there ends.
  t.deepEqual(hold([port([endpoint(1, 2)]), port([endpoint(1, 2)], udp)], ['10.240.2.']), [
    `delete destination 2 ${TCP} 10.240.2.3:80`,
  ]);
  t.deepEqual(hold([port([endpoint(1, 2)])]), [`delete service 2 ${UDP}`]);
});

test('weight 0 gets no connections, unless all have it', async (t) => {
  const { hold } = await opened();
  const zero = { weight: 0 };
  t.deepEqual(hold([port([endpoint(1, 2, zero), endpoint(2, 3)])]).slice(1), [
    `new destination 2 ${TCP} 10.240.1.2:80 0`,
    `new destination 2 ${TCP} 10.240.2.3:80 1`,
  ]);
  t.deepEqual(hold([port([endpoint(1, 2, zero), endpoint(2, 3, zero)])]), [
    `set destination 2 ${TCP} 10.240.1.2:80 1`,
  ]);
});

test('a later process takes over what is there, and leaves others’ services alone', async (t) => {
  const { paper, hold, destination } = await opened();
  hold([port([endpoint(1, 2), endpoint(2, 3)])]);
  destination(TCP, '10.240.1.2').connections = 1;
  const foreign = { scheduler: 'rr', destinations: new Map() };
  for (const [key, mark] of [
    ['address', 0],
    ['below', 0x3ffff],
    ['above', 0x70000],
  ] as const)
    paper.services.set(key, { ...foreign, family: 2, mark });
  const successor = await opened(paper);
  t.true(successor.socket.hasOthers());
  t.false(successor.services.repair(), 'before the first state');
  t.deepEqual(paper.take(), []);
  t.deepEqual(successor.hold([port([endpoint(2, 3), endpoint(3, 4)])]), [
    `new destination 2 ${TCP} 10.240.3.4:80 1`,
    `set destination 2 ${TCP} 10.240.1.2:80 0`,
  ]);
  successor.services.clear();
  t.deepEqual([...paper.services.keys()], ['address', 'below', 'above']);
});

test('what somebody changed is restored, by a check or before the next state', async (t) => {
  const { paper, hold, services, destination } = await opened();
  const state = [port([endpoint(1, 2), endpoint(2, 3)])];
  hold(state);
  paper.services.clear();
  t.true(services.repair());
  t.is(paper.take().length, 3);
  destination(TCP, '10.240.1.2').weight = 7;
  t.true(services.repair());
  t.deepEqual(paper.take(), [`set destination 2 ${TCP} 10.240.1.2:80 1`]);
  paper.services.get(`2 ${TCP}`)!.scheduler = 'rr';
  t.true(services.repair());
  t.deepEqual(paper.take(), [`set service 2 ${TCP} wrr`]);
  t.false(services.repair());
  // A service of ours that nobody wants.
  paper.services.set('2 262145', {
    ...{ family: 2, mark: 0x40001, scheduler: 'wrr', destinations: new Map() },
  });
  t.true(services.repair());
  t.deepEqual(paper.take(), [`delete service 2 ${0x40001}`]);
  paper.services.clear();
  t.is(hold([port([endpoint(1, 2), endpoint(3, 4)])]).length, 3, 'compared with the kernel again');
});

test('a state that the kernel refuses is not held, and the next one is compared again', async (t) => {
  const { paper, hold, services } = await opened();
  hold([port([endpoint(1, 2)])]);
  paper.refuses = 12;
  t.throws(() => hold([port([endpoint(1, 2), endpoint(2, 3)])]), { message: /error 12/ });
  t.throws(() => services.repair(), { message: /error 12/ });
  paper.refuses = 0;
  t.true(services.repair());
  t.deepEqual(paper.take(), [`new destination 2 ${TCP} 10.240.2.3:80 1`]);
});

test('the way to a removed task goes at once, and comes back if it is wanted', async (t) => {
  const { paper, hold, services, destination } = await opened();
  hold([port([endpoint(1, 2), endpoint(2, 3)])]);
  destination(TCP, '10.240.1.2').connections = 1;
  services.cut([ip('10.240.1.2'), ip('10.240.1.99')]);
  t.deepEqual(paper.take(), [`delete destination 2 ${TCP} 10.240.1.2:80`]);
  services.cut([ip('10.240.1.2')]);
  t.deepEqual(hold([port([endpoint(2, 3)])]), []);
  services.cut([ip('10.240.2.3')]);
  paper.take();
  t.false(services.repair());
  t.deepEqual(paper.take(), [`new destination 2 ${TCP} 10.240.2.3:80 1`]);
  paper.services.clear();
  t.throws(() => services.cut([ip('10.240.2.3')]));
  t.true(services.repair());
});

test('what a process with IPVS left drains, then the settings are put back', async (t) => {
  const paper = new PaperIpvs();
  const { hold, destination, services } = await opened(paper);
  hold([port([endpoint(1, 2), endpoint(2, 3)])]);
  destination(TCP, '10.240.1.2').connections = 1;
  paper.limits = [432_000, 432_000, 300];
  services.repair();
  const kernel = paper.kernel();
  const find = (elements: string) =>
    IpvsLeftovers.find(
      {
        ...kernel,
        run: async (_, args) => {
          t.deepEqual(args, ['-j', 'list', 'map', 'inet', 'swarm_mesh', 'ipvs_before']);
          return `{"nftables":[{"metainfo":{}},{"map":{"elem":${elements}}}]}`;
        },
      },
      'inet',
      silentLogger,
    );
  const before = '[[1,0],[4,900],[5,120],[99,7],[3,"x"],7,[2,-1]]';
  t.is(await find(before), undefined, 'the module is not loaded');
  kernel.files.set('/proc/net/ip_vs', 'IP Virtual Server\nFWM  00000007 rr \n');
  t.is(await find('[]'), undefined, 'only others have services');
  kernel.files.set('/proc/net/ip_vs', `IP Virtual Server\nFWM  00041F90 wrr \n`);
  const left = (await find(before))!;
  await left.drain();
  t.deepEqual(paper.take(), [
    `set destination 2 ${TCP} 10.240.1.2:80 0`,
    `set destination 2 ${TCP} 10.240.2.3:80 0`,
    `delete destination 2 ${TCP} 10.240.2.3:80`,
  ]);
  destination(TCP, '10.240.1.2').connections = 0;
  await left.drain();
  t.deepEqual([paper.services.size, paper.limits], [0, [900, 120, 300]]);
  paper.take();
  await left.drain();
  t.deepEqual(paper.take(), []);
});

test('settings are put back, except those that somebody else has changed since', async (t) => {
  const paper = new PaperIpvs();
  const kernel = paper.kernel();
  const settings = new IpvsSettings(kernel, await IpvsSocket.open(kernel, true));
  const before = await settings.read();
  t.true(await settings.hold());
  t.false(await settings.hold());
  const values = () => [...kernel.files.values()];
  t.deepEqual(
    [values(), paper.limits],
    [
      ['1', '1', '1'],
      [432_000, 432_000, 300],
    ],
  );
  kernel.files.set('/proc/sys/net/ipv4/vs/conntrack', '0');
  t.true(await settings.hold(), 'without it replies would not find back');
  paper.limits = [432_000, 60, 300];
  await settings.restore(before);
  t.deepEqual(
    [values(), paper.limits],
    [
      ['0', '0', '1'],
      [900, 60, 300],
    ],
  );
});
