import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type IpAddress, parseIpAddress } from '@swarm/api';
import { until } from '@swarm/sim';
import test from 'ava';
import fc from 'fast-check';
import { peerMac } from '../src/layout.js';
import { NftRuleset, type Packet, PacketTracer, type TraceHost } from '../src/trace/index.js';
import type { Frame } from './lab/frames.js';
import { labProblem, MeshLab } from './lab/lab.js';
import { fullWorld, randomWorld } from './support/random-states.js';
import { nodeOne, TracedMesh } from './support/traced-mesh.js';

const FRAMES = fileURLToPath(new URL('./lab/frames.js', import.meta.url));
const NODE_MAC = '02:09:00:00:00:01';
/** Between the source ports of a frame and of the one that ends what is heard of it. */
const LATER = 30_000;
const WORLDS = 4;
/** Random ones for each world, beside the usual. */
const PACKETS = 14;
/** Devices of node 1: where packets come in, and which addresses lie behind. */
const DEVICES = ['eth0', 'swt1', 'swtmm0', 'swtmm1', 'swarm-vxlan'] as const;

/** Sends frames into a node's devices, and hears which rules of the kernel matched each. */
class KernelBench {
  readonly #lab: MeshLab;
  readonly #node: string;
  readonly #sender: ChildProcess;
  readonly #monitor: ChildProcess;
  #heard = '';
  /** `chain/place` of the rules, by handle. */
  readonly #names = new Map<string, string>();

  private constructor(lab: MeshLab, node: string, sender: ChildProcess, monitor: ChildProcess) {
    this.#lab = lab;
    this.#node = node;
    this.#sender = sender;
    this.#monitor = monitor;
    monitor.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#heard += text;
    });
  }

  /** A host whose devices all lead to one other namespace. */
  static async open(): Promise<KernelBench> {
    const lab = new MeshLab('tk');
    const path = lab.emptyNamespace('node');
    const around = lab.emptyNamespace('around').split('/').at(-1)!;
    const node = path.split('/').at(-1)!;
    lab.sh(
      node,
      'ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.default.accept_local=1',
    );
    for (const device of DEVICES) {
      lab.sh(
        node,
        `ip link add ${device} type veth peer name ${device} netns ${around}
         ip link set ${device} address ${NODE_MAC}; ip link set ${device} up`,
      );
      lab.sh(around, `ip link set ${device} up`);
    }
    // Every way that the tracer's host has, onto the same devices.
    lab.sh(
      node,
      `ip addr add 198.18.0.1/24 dev eth0; ip addr add 10.240.1.1/32 dev swarm-vxlan
       ip route add default via 198.18.0.100 dev eth0
       ip neigh add 198.18.0.100 lladdr 02:09:00:00:00:99 dev eth0
       ip route add 10.240.1.0/24 dev swt1; ip route add 10.240.0.0/12 dev swarm-vxlan
       ip route add 10.0.0.0/16 dev swarm-vxlan; ip route add 10.0.1.10/32 dev swtmm0; ip route add 10.0.2.10/32 dev swtmm1`,
    );
    const inside = (netns: string) => ['--net=/run/netns/' + netns];
    const sender = fork(FRAMES, [], {
      execPath: 'nsenter',
      execArgv: [...inside(around), process.execPath],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(sender, 'message');
    const monitor = spawn('nsenter', [...inside(node), '/usr/sbin/nft', 'monitor', 'trace'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return new KernelBench(lab, node, sender, monitor);
  }

  /** Our table, with traces switched on. */
  load(text: string): void {
    const traced = `add table ip traced
delete table ip traced
table ip traced {
  chain in {
    type filter hook prerouting priority -400; policy accept;
    meta nftrace set 1
  }
}
`;
    this.#lab.sh(
      this.#node,
      `nft -f - <<'END'\n${text}${traced}END\nconntrack -F 2>/dev/null\nsysctl -qw net.netfilter.nf_conntrack_tcp_loose=0`,
    );
    this.#names.clear();
    let chain = '';
    let rule = 0;
    for (const line of this.#lab.sh(this.#node, 'nft -a list table ip swarm_mesh').split('\n')) {
      const begun = /^\tchain (\w+) \{/.exec(line);
      const handle = /# handle (\d+)$/.exec(line)?.[1];
      if (begun !== null) {
        chain = begun[1]!;
        rule = 0;
      } else if (chain !== '' && handle !== undefined)
        this.#names.set(handle, `${chain}/${rule++}`);
    }
  }

  /** @returns the rules that matched, as `chain/place`, and how the packet ended */
  async send(frame: Frame): Promise<readonly string[]> {
    this.#heard = '';
    // A second frame follows through the same queue: once the kernel tells of it, it has told all of the first.
    const last = { ...frame, protocol: 'udp', sourcePort: frame.sourcePort + LATER } as const;
    for (const each of [frame, last]) {
      this.#sender.send(each);
      await once(this.#sender, 'message');
    }
    const idOf = ({ protocol, sourcePort }: Frame) =>
      new RegExp(
        `trace id (\\w+) ip \\w+ \\w+ packet: .*${protocol} sport ${sourcePort} ${protocol} dport`,
      ).exec(this.#heard)?.[1];
    const id = await until(
      'the kernel told of the packet',
      async () => (idOf(last) === undefined ? undefined : idOf(frame)),
      { everyMs: 2 },
    );
    const lines = this.#heard.split('\n').filter((line) => line.startsWith(`trace id ${id} `));
    return lines.flatMap((line) => {
      const handle = / ip swarm_mesh \w+ (?:unknown )?rule.* handle (\d+)/.exec(line)?.[1];
      return handle === undefined ? [] : [this.#names.get(handle)!];
    });
  }

  async close(): Promise<void> {
    for (const child of [this.#sender, this.#monitor]) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    await this.#lab.close();
  }
}

/** The kernel's node as the tracer's. */
const host: TraceHost = {
  ...nodeOne,
  route(destination) {
    if (destination === '10.0.1.10') return 'swtmm0';
    if (destination === '10.0.2.10') return 'swtmm1';
    if (destination.startsWith('10.0.')) return 'swarm-vxlan';
    return nodeOne.route(destination, 0);
  },
};

const packets = fc.uniqueArray(
  fc.record({
    device: fc.constantFrom(...DEVICES),
    peer: fc.constantFrom(1, 2, 3, 9),
    source: fc.constantFrom(
      ...['198.18.0.100', '198.18.0.2', '10.240.1.7', '10.240.2.7'],
      ...['10.0.1.10', '10.0.1.12', '10.0.2.10', '10.0.2.13', '10.9.9.9'],
    ),
    destination: fc.constantFrom(
      ...['198.18.0.1', '198.18.7.7', '10.240.1.2', '10.240.2.2'],
      ...[
        '10.0.1.2',
        '10.0.1.10',
        '10.0.1.12',
        '10.0.2.10',
        '10.0.2.13',
        '10.0.2.99',
        '10.240.1.1',
      ],
    ),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    destinationPort: fc.constantFrom(8080, 8081, 8082, 9000, 22, 4789),
    flags: fc.constantFrom(2, 2, 2, 4, 16),
  }),
  { minLength: PACKETS, maxLength: PACKETS },
);

/** What most packets are like: device, peer, source, destination, port. */
const USUAL = (
  [
    ['eth0', 1, '198.18.0.100', '198.18.0.1', 8080],
    ['eth0', 1, '198.18.0.100', '198.18.0.1', 8081],
    ['eth0', 1, '198.18.0.2', '198.18.0.1', 8080],
    ['swt1', 1, '10.240.1.7', '198.18.0.1', 8080],
    ['swarm-vxlan', 2, '198.18.0.100', '10.240.1.2', 80],
    ['swtmm0', 1, '10.0.1.10', '10.0.1.2', 5432],
    ['swtmm0', 1, '10.0.1.10', '10.0.1.12', 5432],
    ['swtmm0', 1, '10.0.1.10', '10.0.2.10', 5432],
    ['swarm-vxlan', 2, '10.0.1.12', '10.0.1.10', 5432],
    ['swarm-vxlan', 3, '10.0.1.12', '10.0.1.10', 5432],
    ['swtmm1', 1, '10.0.2.10', '198.18.7.7', 443],
    ['swtmm0', 1, '10.0.1.10', '198.18.7.7', 443],
  ] as const
).map(([device, peer, source, destination, destinationPort]) => ({
  ...{ device, peer, source, destination, destinationPort, flags: 2 },
  protocol: 'tcp' as const,
}));

const problem = labProblem();
if (problem === undefined) {
  test('the tracer says what the kernel does, rule by rule', async (t) => {
    t.timeout(240_000);
    const bench = await KernelBench.open();
    let compared = 0;
    const chains = new Set<string>();
    try {
      let sourcePort = 10_000;
      for (const world of [fullWorld, ...fc.sample(randomWorld, WORLDS - 1)]) {
        const traced = await TracedMesh.start();
        traced.refusesChanges = true;
        for (const task of world.attachments) await traced.mesh.attach(task);
        await traced.mesh.apply({ ...world.state, generation: 1 });
        const text = traced.whole;
        bench.load(text);
        const ruleset = new NftRuleset();
        ruleset.apply(text);
        const tracer = new PacketTracer(ruleset, host);
        for (const each of [...USUAL, ...fc.sample(packets, 1).flat()]) {
          sourcePort++;
          // A reply's or a late packet belongs to no connection: the kernel calls it invalid.
          const isFirst = each.protocol === 'udp' || each.flags === 2;
          const fromMac = each.device === 'swarm-vxlan' ? peerMac(each.peer) : '02:09:00:00:00:77';
          const { device, source, destination, protocol, destinationPort, flags } = each;
          const packet: Packet = {
            ...{ inInterface: device, etherSource: fromMac, protocol, sourcePort, destinationPort },
            source: parseIpAddress(source) as IpAddress,
            destination: parseIpAddress(destination) as IpAddress,
            tcpFlags:
              protocol === 'udp' ? [] : flags === 2 ? ['syn'] : flags === 4 ? ['rst'] : ['ack'],
            mark: 0,
            flow: {
              state: isFirst ? 'new' : 'invalid',
              direction: 'original',
              status: [],
              mark: 0,
            },
          };
          const expected = tracer.trace(packet).map(({ steps }) =>
            steps
              .filter(({ table }) => table === 'swarm_mesh')
              .map(({ chain, rule }) => `${chain}/${rule}`)
              .join(' '),
          );
          const found = await bench.send({ ...each, fromMac, toMac: NODE_MAC, sourcePort });
          t.true(
            expected.includes(found.join(' ')),
            `${JSON.stringify(each)}\nkernel: ${found.join(' ')}\ntracer: ${[...new Set(expected)].join('\n        ')}`,
          );
          for (const step of found) chains.add(step.split('/')[0]!);
          compared++;
        }
        await traced.mesh.close({ keep: false });
      }
    } finally {
      await bench.close();
    }
    t.true(compared >= WORLDS * PACKETS);
    // Otherwise the packets would have met too little for this to mean anything.
    for (const chain of ['take', 'refuse', 'from_task', 'from_peer', 'forwarded', 'vip_take'])
      t.true(chains.has(chain), `no packet met a rule of ${chain}: ${[...chains].join(', ')}`);
  });
} else {
  test(`the tracer is not compared with the kernel: ${problem}`, (t) => t.pass());
}
