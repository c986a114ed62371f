import { type MeshPort, type MeshState, silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import { createMesh, type Kernel, type Sockets } from '../src/index.js';
import { CommandError } from '../src/kernel/command.js';
import { NftError } from '../src/kernel/nft.js';
import { rawPeer } from './support/checked.js';
import { fakeKernel } from './support/fake-kernel.js';

/** No sockets: each port is taken by someone else. */
const noSockets: Sockets = {
  listen: () => Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' })),
  bindDatagrams: () => Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' })),
  connect: () => {
    throw new Error('nobody connects');
  },
  connectDatagrams: () => {
    throw new Error('nobody connects');
  },
};

/** A whole nftables mesh on a kernel that only takes notes: no root, no namespaces. */
async function meshOnPaper() {
  /** Transactions, in order. */
  const transactions: string[] = [];
  /** Commands to the table of connections, in order. */
  const flows: string[] = [];
  const warnings: string[] = [];
  let hasConntrack = true;
  let refusal: string | undefined;
  const kernel: Kernel = {
    ...fakeKernel(async (program, args) => {
      if (program === 'conntrack') {
        if (!hasConntrack) throw new CommandError('conntrack', 'it is not installed', 'ENOENT');
        flows.push(args.join(' '));
        return '';
      }
      if (args.includes('addr')) {
        return '[{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"198.18.0.1"}]}]';
      }
      if (args.includes('chains')) return '{"nftables":[]}';
      return args[0] === '-j' ? '[]' : '';
    }),
    packetFilters: [
      async () => ({
        kind: 'command',
        async run(text) {
          if (refusal !== undefined && text.includes(refusal)) throw new NftError('refused');
          transactions.push(text);
        },
        check: async () => '',
        close() {},
      }),
    ],
  };
  const mesh = await createMesh({
    backend: 'nftables',
    kernel,
    sockets: noSockets,
    random: () => 0,
    logger: { ...silentLogger, warn: (_, message) => warnings.push(message) },
    clock: systemClock({ unref: true }),
  });
  await mesh.start(rawPeer(1));
  transactions.length = 0;
  return {
    mesh,
    transactions,
    flows,
    warnings,
    setConntrack(isInstalled: boolean): void {
      hasConntrack = isInstalled;
    },
    refuse(text: string | undefined): void {
      refusal = text;
    },
  };
}

const port = (publishedPort: number, ...nodes: number[]): MeshPort => ({
  protocol: 'tcp',
  publishedPort,
  serviceId: 's',
  endpoints: nodes.map((node) => ({
    taskId: `t${publishedPort}x${node}`,
    nodeId: `node${node}`,
    address: `10.240.${node}.2`,
    port: 80,
  })),
});
const state = (generation: number, peers: number[], ...ports: MeshPort[]): MeshState => ({
  generation,
  peers: peers.map(rawPeer),
  ports,
});

test('a generation is one transaction: peers of the tunnel, ports and endpoints together', async (t) => {
  const { mesh, transactions } = await meshOnPaper();
  await mesh.apply(state(1, [1, 2], port(8080, 1, 2), port(8081, 2)));
  t.is(transactions.length, 1);
  for (const set of ['peers', 'zones', 'underlay', 'homeward', 'twelve', 'slots', 'endpoints']) {
    t.regex(transactions[0]!, new RegExp(`add element ip swarm_mesh ${set} \\{`));
  }
  await mesh.apply(state(2, [1, 3], port(8081, 3)));
  t.is(transactions.length, 2);
  t.regex(transactions[1]!, /delete element ip swarm_mesh peers \{ 02:00:00:00:00:02 \}/);
  t.regex(transactions[1]!, /add element ip swarm_mesh peers \{ 02:00:00:00:00:03 /);
  t.regex(transactions[1]!, /delete element ip swarm_mesh twelve \{ tcp \. 8080 \}/);
  await mesh.apply(state(3, [1, 3], port(8081, 3)));
  t.is(transactions.length, 2, 'nothing changed');
});

test('a transaction that the kernel refuses is written as a whole table, in one more', async (t) => {
  const { mesh, transactions, refuse } = await meshOnPaper();
  await mesh.apply(state(1, [1, 2], port(8080, 1, 2)));
  refuse('delete element');
  await mesh.apply(state(2, [1, 2], port(8080, 1)));
  t.is(transactions.length, 2);
  t.regex(transactions[1]!, /^add table ip swarm_mesh\ndelete table ip swarm_mesh\ntable ip/);
  t.notRegex(transactions[1]!, /10\.240\.2\.2/);
  t.is(mesh.generation, 2);
});

test('after a failure everything is written, with the host ports attached meanwhile', async (t) => {
  const { mesh, transactions, refuse } = await meshOnPaper();
  refuse('swarm_mesh');
  await t.throwsAsync(mesh.apply(state(1, [1, 2], port(8080, 2))), { instanceOf: NftError });
  t.is(mesh.generation, 0);
  await mesh.attach({
    taskId: 'task1',
    netns: '/run/netns/x',
    attachments: [{ networkId: 'net', addresses: ['fd00::2/128', '10.240.1.2/32'] }],
    hostPorts: [{ protocol: 'tcp', publishedPort: 9000, targetPort: 80 }],
  });
  refuse(undefined);
  await mesh.apply(state(2, [1, 2], port(8080, 2)));
  t.is(transactions.length, 1);
  t.regex(
    transactions[0]!,
    /add element ip swarm_mesh host_ports \{ tcp \. 9000 : 10\.240\.1\.2 \. 80 \}/,
  );
  t.regex(transactions[0]!, /endpoints \{ 4096 : 10\.240\.2\.2 \. 80 \}/);
  await mesh.detach('task1');
  t.is(transactions[1], 'delete element ip swarm_mesh host_ports { tcp . 9000 }\n');
});

const udp = (publishedPort: number, ...nodes: number[]): MeshPort => ({
  ...port(publishedPort, ...nodes),
  protocol: 'udp',
});

test('flows are looked at only when a UDP port opens or an endpoint of one goes', async (t) => {
  const { mesh, flows } = await meshOnPaper();
  await mesh.apply(state(1, [1, 2], port(8080, 1), udp(53, 1)));
  t.deepEqual(flows.splice(0), ['-L -p udp --orig-port-dst 53']);
  await mesh.apply(state(2, [1, 2], port(8080, 1, 2), port(8081, 2), udp(53, 1, 2)));
  t.deepEqual(flows.splice(0), [], 'an endpoint more, and ports of TCP');
  await mesh.apply(state(3, [1, 2], udp(53, 2)));
  t.deepEqual(flows.splice(0), ['-D -p udp --reply-src 10.240.1.2 --reply-port-src 80']);
  await mesh.apply(state(4, [1, 2], udp(53)));
  t.deepEqual(flows.splice(0), ['-D -p udp --reply-src 10.240.2.2 --reply-port-src 80']);
  await mesh.apply(state(5, [1, 2], udp(53, 2), udp(54, 2), udp(55)));
  t.deepEqual(flows.splice(0), ['-L -p udp'], 'one listing for both that lead somewhere now');
});

test('flows that could not be deleted are looked for with the next state, and it is said once', async (t) => {
  const { mesh, flows, warnings, setConntrack } = await meshOnPaper();
  setConntrack(false);
  for (const generation of [1, 2, 3]) await mesh.apply(state(generation, [1, 2], udp(53, 1)));
  t.is(warnings.filter((text) => /could not delete the connections/.test(text)).length, 1);
  setConntrack(true);
  await mesh.apply(state(4, [1, 2], udp(53, 1)));
  t.deepEqual(flows.splice(0), ['-L --dst-nat', '-L -p udp --orig-port-dst 53']);
  await mesh.apply(state(5, [1, 2], udp(53, 1)));
  t.deepEqual(flows, []);
});

test('before the first state no flow is deleted, whatever happens to the table', async (t) => {
  const { mesh, flows, refuse, transactions } = await meshOnPaper();
  await mesh.attach({
    taskId: 'task1',
    netns: '/run/netns/x',
    attachments: [{ networkId: 'net', addresses: ['10.240.1.3/32'] }],
    hostPorts: [{ protocol: 'tcp', publishedPort: 9001, targetPort: 80 }],
  });
  refuse('delete element');
  await mesh.detach('task1');
  t.true(transactions.some((text) => text.startsWith('add table')));
  t.deepEqual(flows, ['-D --reply-src 10.240.1.3'], 'only those of the task itself');
});
