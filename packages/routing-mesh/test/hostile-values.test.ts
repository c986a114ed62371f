import { type Logger, type MeshPeer, silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { readAttachment, readNetnsPath } from '../src/attachment.js';
import type { RunCommand } from '../src/kernel/command.js';
import {
  checkCommand,
  checkNftText,
  line,
  UnsafeCommandError,
  type Word,
  word,
  words,
} from '../src/kernel/words.js';
import { Conntrack } from '../src/balancer/nftables/conntrack.js';
import { DnatSection } from '../src/balancer/nftables/dnat-section.js';
import { HostPortSection } from '../src/balancer/nftables/host-port-section.js';
import { DEFAULT_INGRESS } from '../src/ingress.js';
import { Model } from '../src/balancer/nftables/model.js';
import { removedEndpoints } from '../src/balancer/nftables/port-changes.js';
import { IsolationSection } from '../src/links/isolation-section.js';
import { VethLinks } from '../src/links/veth-links.js';
import { runCommand } from '../src/system/run-command.js';
import { ElementChanges } from '../src/table/element-changes.js';
import { skeleton } from '../src/table/ruleset.js';
import { PeerSection } from '../src/tunnel/peer-section.js';
import { VxlanTunnel } from '../src/tunnel/vxlan-tunnel.js';
import { StateReader } from '../src/state-reader.js';
import { INGRESS, ip, peer, rawPeer } from './support/checked.js';
import { fakeKernel } from './support/fake-kernel.js';

// --- The grammar of everything that may reach the kernel

const IP = '[0-9a-f.:]+';
const V4 = String.raw`\d{1,3}(?:\.\d{1,3}){3}`;
const MAC = '[0-9a-f]{2}(?::[0-9a-f]{2}){5}';
const LINK = '(?:swt[A-Za-z0-9]{1,12}|swt[A-Za-z0-9]{1,10}-1)';
const whole = (...forms: string[]) => new RegExp(`^(?:${forms.join('|')})$`);
const BRIDGE_LINE = whole(
  `fdb replace ${MAC} dev swarm-vxlan dst ${IP} self permanent`,
  `fdb del ${MAC} dev swarm-vxlan self`,
);
const IP_LINE = whole(
  `link (?:add|set|del) (?:swarm-vxlan|${LINK}|lo|eth[01])(?: [0-9A-Za-z:./_-]+)*`,
  `addr add ${V4}/32 dev (?:swarm-vxlan|eth[01] scope global)`,
  `addr add ${IP}/128 dev eth[01] nodad`,
  `neigh replace ${IP} lladdr ${MAC} dev (?:swarm-vxlan|eth[01]|${LINK}) nud permanent`,
  `neigh del ${V4} dev swarm-vxlan`,
  `route replace blackhole ${V4}/24`,
  `route replace (?:default|${IP}(?:/24|/32|/128)?)(?: via ${IP})? dev (?:swarm-vxlan|eth[01]|${LINK})(?: onlink)?(?: src ${IP})?(?: table (?:main|\\d+))?`,
  `rule (?:add|del) from ${IP} lookup 101`,
  `route del ${V4}/24 dev swarm-vxlan`,
  String.raw`route flush table \d+`,
  String.raw`rule add pref \d+ (?:nop|goto \d+|fwmark (?:0x[0-9a-f]+|0)/0x[0-9a-f]+ (?:goto|lookup) \d+)`,
  String.raw`rule del pref \d+`,
);
const NFT_ELEMENTS = whole(
  String.raw`(?:add|delete) element ip swarm_mesh [a-z_]+ \{ [0-9a-z][0-9a-z.:/ ]*(?:, [0-9a-z][0-9a-z.:/ ]*)* \}`,
);
const CONNTRACK = whole(
  `-D -p (?:tcp|udp|sctp) --reply-src ${IP} --reply-port-src \\d+`,
  `-D --reply-src ${IP}`,
  '-L --dst-nat',
);

// --- Values: good, nearly good, and hostile

const CURSES = [
  '198.18.0.9\nlink del eth0',
  '198.18.0.9 self permanent\nfdb add 02:de:ad:be:ef:00 dev swarm-vxlan dst 198.18.0.66',
  '198.18.0.9 } ; flush ruleset ; add element ip swarm_mesh underlay { 0.0.0.0/0',
  '-force',
  '--net=/proc/1/ns/net',
  '"; include "/etc/shadow',
  '0.0.0.0',
  '255.255.255.255',
  '169.254.169.254',
  '127.0.0.1',
  '224.0.0.1',
  'fe80::1%eth0',
  '::ffff:198.18.0.9',
  '١٩٨.18.0.9',
  '198.18.0.9\u2028',
  '198.18.0.9\0',
  '10.240.1.0/24',
  '10.240.9.2',
];
const anything = fc.oneof(
  fc.constantFrom(...CURSES),
  fc.string({ unit: 'binary' }),
  fc.ipV4(),
  fc.ipV6(),
  fc.integer(),
  fc.double(),
  fc.constant(null),
  fc.constant(undefined),
  fc.array(fc.string(), { maxLength: 2 }),
  fc.record({ a: fc.string() }),
);
/** A good value with some of its fields replaced. */
const spoilt = (good: object) =>
  fc
    .array(fc.tuple(fc.constantFrom(...Object.keys(good)), anything), {
      minLength: 1,
      maxLength: 3,
    })
    .map((changes) => ({ ...good, ...Object.fromEntries(changes) }));
const endpoint = (node: number, host: number) => ({
  taskId: `task${node}x${host}`,
  nodeId: `node${node}`,
  address: `10.240.${node}.${host}`,
  port: 80,
});
const GOOD_PEERS = [1, 2, 3].map(rawPeer);
const GOOD_ENDPOINTS = [endpoint(1, 2), endpoint(2, 2), endpoint(3, 9)];
const GOOD_PORT = {
  protocol: 'tcp',
  publishedPort: 8080,
  serviceId: 's',
  endpoints: GOOD_ENDPOINTS,
} as const;

/** Good peers and a good port first; then whatever. Places 4 to 20 and ports from 9000 are for the bad. */
const hostileState = fc.record({
  generation: fc.constant(1),
  peers: fc
    .array(
      fc.oneof(
        fc.integer({ min: 1, max: 20 }).chain((i) => spoilt(rawPeer(i))),
        anything,
      ),
      { maxLength: 6 },
    )
    .map((bad) => [...GOOD_PEERS, ...bad]),
  ports: fc
    .array(
      fc.oneof(
        fc
          .array(fc.oneof(spoilt(endpoint(2, 7)), anything), { maxLength: 4 })
          .map((bad) => ({ ...GOOD_PORT, publishedPort: 9000, endpoints: bad })),
        spoilt({ ...GOOD_PORT, publishedPort: 9001 }),
        anything,
      ),
      { maxLength: 5 },
    )
    .map((bad) => [
      { ...GOOD_PORT, endpoints: [...GOOD_ENDPOINTS, { ...endpoint(2, 8), address: CURSES[0] }] },
      ...bad,
    ]),
});

/** Keeps what would be run, and runs it past the last line of defence. */
function recorder() {
  const told: { program: string; args: readonly string[]; input: string }[] = [];
  const run: RunCommand = async (program, args, input = '') => {
    checkCommand(program, args, input);
    told.push({ program, args, input });
    if (args.includes('addr') && args.includes('-d')) {
      return '[{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"198.18.0.1"}]}]';
    }
    return args[0] === '-j' ? '[]' : '';
  };
  return { told, run };
}

test('whatever a state holds, only our grammar reaches the kernel, and good peers are applied', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(hostileState, { minLength: 1, maxLength: 3 }), async (states) => {
      const { told, run } = recorder();
      const self = peer(1);
      const [peerSection, ports] = [new PeerSection(), new DnatSection()];
      const tunnel = new VxlanTunnel({
        kernel: fakeKernel(run),
        logger: silentLogger,
        clock: systemClock(),
        port: 4789,
        section: peerSection,
      });
      const reader = new StateReader({ ingress: INGRESS, logger: silentLogger });
      const conntrack = new Conntrack(run);
      await tunnel.start(self, DEFAULT_INGRESS);
      const model = new Model();
      for (const state of states) {
        const read = reader.read(state, self, false);
        await tunnel.reach(read.peers);
        const turns = model.follow({ ...read, touched: undefined }, self);
        ports.follow(model.ports, turns);
        const changes = new ElementChanges();
        for (const section of [peerSection, ports]) section.takeChanges(changes);
        for (const text of changes.text().split('\n').slice(0, -1)) {
          checkNftText(text);
          t.regex(text, NFT_ELEMENTS);
        }
        for (const { protocol, address, port } of removedEndpoints(turns)) {
          await conntrack.forgetFlows({ protocol: word(protocol), address, port });
        }
        await tunnel.prune(read.peers);
        for (const { nodeId, index } of GOOD_PEERS) t.is(read.peers.get(nodeId)?.index, index);
        t.deepEqual(
          model.ports.get('tcp/8080')?.endpoints.map(({ address }) => String(address)),
          GOOD_ENDPOINTS.map(({ address }) => address),
        );
        for (const { endpoints } of model.ports.values()) {
          for (const { nodeId, address } of endpoints) {
            const { subnet } = read.peers.get(nodeId)!;
            t.true(address.startsWith(subnet.replace(/0\/24$/, '')), `${address} of ${nodeId}`);
          }
        }
      }
      for (const { program, args, input } of told) {
        for (const text of input.split('\n').filter((command) => command !== '')) {
          t.regex(text, program === 'bridge' ? BRIDGE_LINE : IP_LINE);
        }
        if (program === 'conntrack') t.regex(args.join(' '), CONNTRACK);
      }
      const lines = told.flatMap(({ input }) => input.split('\n'));
      for (const { index, address } of GOOD_PEERS.slice(1)) {
        t.true(lines.some((text) => text.includes(`0${index} dev swarm-vxlan dst ${address} `)));
        t.true(lines.some((text) => text.startsWith(`route replace 10.240.${index}.0/24 via`)));
      }
    }),
    { numRuns: 300 },
  );
});

test('whatever a task is called, only our grammar reaches the kernel, or nothing does', async (t) => {
  const { told, run } = recorder();
  const links = new VethLinks({ kernel: fakeKernel(run), logger: silentLogger });
  links.start(peer(1), DEFAULT_INGRESS);
  await fc.assert(
    fc.asyncProperty(anything, anything, anything, async (taskId, value, netns) => {
      const network = { networkId: 'net1', addresses: ['10.240.1.2/32', 'fd00::2/128'] };
      const good = { taskId: 'task1', attachments: [network], netns: '/run/netns/x' };
      const text = typeof value === 'string' ? value : '';
      const spoiltNetworks = [
        { ...network, networkId: value },
        { ...network, addresses: [value] },
        { ...network, addresses: [`${text}/32`] },
        { ...network, addresses: [`${text}/128`] },
        { ...network, addresses: value },
        value,
      ].map((one) => ({ attachments: [network, one] }));
      for (const bad of [{}, { taskId }, { attachments: value }, { netns }, ...spoiltNetworks]) {
        const task = { ...good, ...bad };
        try {
          await links.attach({ ...readAttachment(task as typeof good), mtuBytes: 1450 });
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }
      }
    }),
    { numRuns: 200 },
  );
  t.true(told.length > 0);
  for (const { program, args, input } of told) {
    for (const text of input.split('\n').filter((command) => command !== ''))
      t.regex(text, IP_LINE);
    if (program === 'nsenter') t.regex(args[0]!, /^--net=\/[0-9A-Za-z_.:/-]+$/);
  }
});

test('a path of a namespace is absolute, one word, and does not climb', (t) => {
  for (const path of ['/run/netns/swarm-abc', '/proc/12/ns/net']) {
    t.is<string, string>(readNetnsPath(path), path);
  }
  for (const path of ['', 'x', '/run/netns/a b', '/run/netns/a\n', '/run/../etc', '-x', '/a;b']) {
    t.throws(() => readNetnsPath(path), { instanceOf: RangeError }, path);
  }
});

test('an unsafe word never becomes part of a command', (t) => {
  for (const text of CURSES.filter((curse) => !/^[0-9][0-9a-z./]*$/.test(curse))) {
    if (ip(text) !== undefined) continue;
    t.throws(() => word(text), { instanceOf: UnsafeCommandError }, text);
    // As if a cast had lied.
    t.throws(() => line`route add ${text as Word} dev x`, { instanceOf: UnsafeCommandError }, text);
    t.throws(() => words`-D ${text as Word}`, { instanceOf: UnsafeCommandError }, text);
  }
  t.throws(() => line`route add ${Number.NaN} dev x`, { instanceOf: UnsafeCommandError });
  t.throws(() => line`route add ${-1} dev x`, { instanceOf: UnsafeCommandError });
});

test('an element that could end its statement is refused', (t) => {
  const changes = new ElementChanges();
  for (const element of ['1 } ; flush ruleset', '1, 2', '', '1\n', ' 1', '"a"', '$x']) {
    t.throws(() => changes.add('multi', element), { instanceOf: UnsafeCommandError }, element);
  }
  t.true(changes.empty);
});

test('the last line of defence runs nothing that has other characters', async (t) => {
  const refused: [Parameters<RunCommand>[0], string[], string?][] = [
    ['ip', ['-batch', '-'], 'link del x\n\x1b[0m\n'],
    ['ip', ['-batch', '-'], 'link del x; reboot\n'],
    ['ip', ['-batch', '-'], '-force x\n'],
    ['ip', ['-batch', '-'], 'link del x'],
    ['bridge', ['fdb', 'a b']],
    ['conntrack', ['-D', '']],
    ['nft', ['-f', '-'], "add table ip x '\n"],
    ['nft', ['-f', '-'], 'add table ip $x\n'],
    ['nsenter', ['--net=/x', 'sh', '-c', 'a|b']],
  ];
  for (const [program, args, input] of refused) {
    await t.throwsAsync(runCommand(program, args, input), { instanceOf: UnsafeCommandError });
  }
  t.notThrows(() =>
    checkNftText(
      skeleton(
        [new HostPortSection(), new PeerSection(), new DnatSection(), new IsolationSection()],
        { self: peer(1), ingressNetwork: peer(1).subnet, dataPathPort: 4789, family: 'inet' },
      ),
    ),
  );
});

// --- What is left out is said

function logged() {
  const lines: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    warn: (_fields: object, message: string) => lines.push(message),
  };
  return { lines, logger };
}

const peers = (...list: Partial<MeshPeer>[]) => ({ generation: 1, peers: list, ports: [] });

test('a bad peer is named once, in words that no terminal obeys', (t) => {
  const { lines, logger } = logged();
  const reader = new StateReader({ ingress: INGRESS, logger });
  const bad = { ...rawPeer(2), nodeId: 'x\x1b[31m\n', address: 'nowhere' };
  for (let i = 0; i < 3; i++) reader.read(peers(rawPeer(1), { ...bad }), undefined, false);
  t.deepEqual(lines, ['left out of the mesh: peer x\\x1b[31m\\x0a: its node id is invalid']);
  reader.read(peers(rawPeer(1)), undefined, false);
  reader.read(peers(rawPeer(1), { ...bad }), undefined, false);
  t.is(lines.length, 2, 'it was gone, and is back');
});

test('a state full of faults fills no log', (t) => {
  const { lines, logger } = logged();
  const reader = new StateReader({ ingress: INGRESS, logger });
  const bad = Array.from({ length: 500 }, (_, i) => ({ ...rawPeer(9), nodeId: `n${i}`, index: 0 }));
  reader.read(peers(...bad), undefined, false);
  t.is(lines.length, 21);
  t.is(lines.at(-1), 'left out of the mesh: 480 more');
});

test('of two peers with one index or address, the earlier one stays, else the first named', (t) => {
  const { lines, logger } = logged();
  const reader = new StateReader({ ingress: INGRESS, logger });
  const ids = (state: object) => [...reader.read(state, undefined, false).peers.keys()];
  const thief = { ...rawPeer(3), address: rawPeer(2).address };
  t.deepEqual(ids(peers(rawPeer(2), thief)), ['node2']);
  t.deepEqual(ids(peers(thief, rawPeer(2))), ['node2']);
  t.deepEqual(ids(peers({ ...rawPeer(2), nodeId: 'aaa' }, rawPeer(2))), ['node2']);
  t.deepEqual(ids(peers(thief)), ['node3'], 'the address is free');
  t.regex(lines[0]!, /peer node3: node node2 already has 198\.18\.0\.2/);
  t.regex(lines[1]!, /peer aaa: node node2 already has index 2/);
});

test('no peer can take this node’s own place', (t) => {
  const reader = new StateReader({ ingress: INGRESS, logger: silentLogger });
  const thief = { ...rawPeer(3), nodeId: 'aaa', address: rawPeer(1).address };
  const read = reader.read(peers(thief, rawPeer(1)), peer(1), false);
  t.deepEqual([...read.peers.keys()], ['node1']);
});

test('an unchanged port of an unchanged set of peers is not read again', (t) => {
  const reader = new StateReader({ ingress: INGRESS, logger: silentLogger });
  const state = { generation: 1, peers: GOOD_PEERS, ports: [GOOD_PORT] };
  const [first] = reader.read(state, undefined, false).ports.values();
  const again = reader.read({ ...state, peers: [...GOOD_PEERS] }, undefined, false);
  t.is(again.ports.get('tcp/8080'), first);
  const down = [GOOD_PEERS[0]!, GOOD_PEERS[1]!, { ...GOOD_PEERS[2]!, down: true }];
  const later = reader.read({ ...state, peers: down }, undefined, false);
  t.is(later.ports.get('tcp/8080'), first);
  t.true(later.peers.get('node3')!.down);
});

// --- Where an endpoint of a userspace node may be

test('a userspace node’s endpoint is at its own address and a port of the range, nowhere else', (t) => {
  const { lines, logger } = logged();
  const reader = new StateReader({ ingress: INGRESS, logger });
  const liar = { ...rawPeer(4), userspace: true };
  const at = (address: string, port: number, i: number) => ({
    taskId: `task${i}`,
    nodeId: 'node4',
    address,
    port,
  });
  const endpoints = [
    at('198.18.0.4', 20_000, 0),
    at('198.18.0.4', 29_999, 1),
    at('198.18.0.4', 22, 2),
    at('198.18.0.4', 2377, 3),
    at('198.18.0.4', 30_000, 4),
    at('169.254.169.254', 20_000, 5),
    at('198.18.0.2', 20_000, 6),
    at('127.0.0.1', 20_000, 7),
    at('10.240.4.2', 20_000, 8),
    at('localhost', 20_000, 9),
  ];
  const state = { generation: 1, peers: [rawPeer(2), liar], ports: [{ ...GOOD_PORT, endpoints }] };
  const [port] = reader.read(state, undefined, false).ports.values();
  t.deepEqual(
    port!.endpoints.map(({ taskId }) => taskId),
    ['task0', 'task1'],
  );
  t.is(lines.length, 8);
});

test('the loopback of another host is refused, unless this node is on loopback, too', (t) => {
  const reader = new StateReader({ ingress: INGRESS, logger: silentLogger });
  const local = { ...rawPeer(4), address: '127.0.77.4', userspace: true };
  const endpoints = [{ taskId: 't', nodeId: 'node4', address: '127.0.77.4', port: 20_001 }];
  const state = { generation: 1, peers: [local], ports: [{ ...GOOD_PORT, endpoints }] };
  t.is(reader.read(state, undefined, false).ports.get('tcp/8080')!.endpoints.length, 0);
  t.is(reader.read(state, undefined, true).ports.get('tcp/8080')!.endpoints.length, 1);
});

test('userspace nodes of one host share its address, and each keeps its tasks', (t) => {
  const reader = new StateReader({ ingress: INGRESS, logger: silentLogger });
  const shared = [4, 5].map((i) => ({ ...rawPeer(i), address: '198.18.0.4', userspace: true }));
  const endpoints = [4, 5].map((i) => ({
    taskId: `t${i}`,
    nodeId: `node${i}`,
    address: '198.18.0.4',
    port: 20_000 + i,
  }));
  const state = { generation: 1, peers: shared, ports: [{ ...GOOD_PORT, endpoints }] };
  t.is(reader.read(state, undefined, false).ports.get('tcp/8080')!.endpoints.length, 2);
});
