import { execFileSync } from 'node:child_process';
import type { MeshEncryption, MeshPeer } from '@swarm/api';
import test from 'ava';
import { Capture, packetSizes } from './lab/capture.js';
import { type Host, labProblem, MeshLab } from './lab/lab.js';
import type { LabNetwork } from './lab/protocol.js';

/** A name that a capture would show, were it not encrypted. */
const SECRET = 'a-secret-of-the-task';
const DEVICES: Readonly<Record<string, string>> = { wireguard: 'swarm-wg', ipsec: 'swarm-ipsec' };

/** A node, and its task on the encrypted network. */
interface Node extends Host {
  readonly index: number;
  offer: MeshEncryption;
  readonly task: Host & { readonly v4: string; readonly v6: string };
}

/** Three nodes, each with a task, that encrypt what the tasks send each other. */
class EncryptedLab {
  readonly lab: MeshLab;
  readonly nodes: Node[] = [];

  constructor(name: string) {
    this.lab = new MeshLab(name);
  }

  async start(): Promise<this> {
    for (const index of [1, 2, 3]) {
      const host = await this.lab.host(`n${index}`, `198.18.0.${index}`);
      this.lab.sh(
        host.netns,
        'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0',
      );
      const { offer, problem } = await host.agent.openEncryption();
      if (offer === undefined) throw new Error(problem);
      const inner = await this.lab.task(`t${index}`);
      const task = { ...inner, v4: `10.99.0.1${index}`, v6: `fd99::1${index}` };
      const node = { ...host, index, offer, task };
      this.#link(node);
      this.nodes.push(node);
      await host.agent.startEncryption(this.peer(node));
      await inner.agent.serve({ name: SECRET + index, port: 80 });
    }
    await this.tell();
    return this;
  }

  /** As the mesh links tasks. */
  #link({ netns, task, index }: Node): void {
    this.lab.sh(
      netns,
      `ip link add swt${index} mtu 1440 type veth peer name eth0 mtu 1440 netns ${task.netns}
       ip link set swt${index} up
       ip addr add 169.254.1.1/32 dev swt${index}; ip -6 addr add fe80::1/64 dev swt${index} nodad`,
    );
    this.lab.sh(
      task.netns,
      `ip link set lo up; ip link set eth0 up
       ip addr add ${task.v4}/32 dev eth0; ip -6 addr add ${task.v6}/128 dev eth0 nodad
       ip route add default via 169.254.1.1 dev eth0 onlink; ip -6 route add default via fe80::1 dev eth0 onlink`,
    );
    this.lab.sh(
      netns,
      `ip route add ${task.v4} dev swt${index}; ip -6 route add ${task.v6} dev swt${index}`,
    );
  }

  peer({ index, offer }: Node): MeshPeer {
    return {
      nodeId: `node${index}`,
      index,
      address: `198.18.0.${index}`,
      subnet: `10.240.${index}.0/24`,
      encryption: offer,
    };
  }

  get network(): LabNetwork {
    return {
      subnets: ['10.99.0.0/24', 'fd99::/64'],
      members: this.nodes.map(({ index, task }) => ({
        nodeId: `node${index}`,
        addresses: [task.v4, task.v6],
      })),
    };
  }

  /** Tells these nodes of all, as managers do, and leads to all members. */
  async tell(nodes = this.nodes, network = this.network): Promise<void> {
    const peers = this.nodes.map((node) => this.peer(node));
    for (const node of nodes) {
      await node.agent.encrypt({ peers, networks: [network] });
      for (const other of this.nodes) {
        if (other === node) continue;
        const device = await node.agent.encryptedDevice(this.peer(other));
        this.lab.sh(
          node.netns,
          `ip route replace ${other.task.v4} dev ${device}; ip -6 route replace ${other.task.v6} dev ${device}`,
        );
      }
    }
  }

  ask(from: Node, to: Node, v6 = false) {
    return from.task.agent.ask({ host: v6 ? to.task.v6 : to.task.v4, port: 80, timeoutMs: 8000 });
  }

  /** UDP packets that the task received. */
  received({ task }: Node): number {
    const text = this.lab.sh(task.netns, 'cat /proc/net/snmp');
    const [names, values] = text.split('\n').filter((line) => line.startsWith('Udp:'));
    const at = (name: string) => Number(values!.split(' ')[names!.split(' ').indexOf(name)]);
    return at('InDatagrams') + at('NoPorts');
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}

/** Why this kernel cannot; undefined when it can. */
async function encryptionProblem(): Promise<string | undefined> {
  const problem = labProblem();
  if (problem !== undefined) return problem;
  try {
    execFileSync('tcpdump', ['--version'], { stdio: 'ignore' });
  } catch {
    return 'the command "tcpdump" is missing';
  }
  const lab = new MeshLab('q');
  try {
    const { agent } = await lab.task('x');
    const { offer, problem: reason } = await agent.openEncryption();
    return offer === undefined ? reason : undefined;
  } finally {
    await lab.close();
  }
}

const problem = await encryptionProblem();

if (problem === undefined) {
  let lab: EncryptedLab;
  let means: string;
  test.before(async () => {
    lab = await new EncryptedLab('e').start();
    means = lab.nodes[0]!.offer.means[0]!;
  });
  test.after.always(async () => {
    await lab?.close();
  });

  test.serial('tasks reach each other, and the wire shows none of it', async (t) => {
    const [one, two, three] = lab.nodes as [Node, Node, Node];
    t.log(`by ${means}; nodes offer ${one.offer.means.join(', ')}`);
    t.is(await one.agent.encryptedDevice(lab.peer(two)), DEVICES[means]!);
    const capture = await Capture.start(two.netns);
    for (const v6 of [false, true]) {
      const answer = await lab.ask(one, two, v6);
      t.is(answer.task, `${SECRET}2`);
      t.is(answer.address, v6 ? one.task.v6 : one.task.v4);
      t.is((await lab.ask(two, three, v6)).task, `${SECRET}3`);
    }
    const bytes = await capture.stop();
    t.true(bytes.length > 1000);
    t.false(bytes.includes(SECRET));
    // Nor the addresses of tasks.
    t.false(bytes.includes(Buffer.of(10, 99, 0, 11)));
    t.false(bytes.includes(Buffer.from('fd990000', 'hex')));
  });

  test.serial('a capture shows what is not encrypted', async (t) => {
    const [one, two] = lab.nodes as [Node, Node];
    await two.agent.serve({ name: SECRET, port: 81 });
    const capture = await Capture.start(two.netns);
    await one.agent.ask({ host: '198.18.0.2', port: 81 });
    t.true((await capture.stop()).includes(SECRET));
  });

  test.serial('a node drops packets of encrypted networks that come in clear', async (t) => {
    const [one, two] = lab.nodes as [Node, Node];
    const outsider = await lab.lab.host('out', '198.18.0.9');
    lab.lab.sh(
      outsider.netns,
      `ip addr add ${one.task.v4}/32 dev lo; ip route add ${two.task.v4} via 198.18.0.2 src ${one.task.v4}`,
    );
    const forge = () =>
      outsider.agent.askUdp({ host: two.task.v4, port: 7, timeoutMs: 300 }).catch(() => undefined);
    const before = lab.received(two);
    await forge();
    t.is(lab.received(two), before);
    // The same packet arrives where nothing keeps it out.
    lab.lab.sh(two.netns, 'nft delete table inet swarm_encryption');
    await forge();
    t.is(lab.received(two), before + 1);
    t.true((await two.agent.repairEncryption()).isDamaged);
    await forge();
    t.is(lab.received(two), before + 1);
    await outsider.agent.stop();
  });

  test.serial('nothing leaves in clear, wherever routes lead', async (t) => {
    const [one, two] = lab.nodes as [Node, Node];
    lab.lab.sh(one.netns, `ip route replace ${two.task.v4} via 198.18.0.2 dev eth0`);
    const capture = await Capture.start(one.netns);
    await t.throwsAsync(one.task.agent.ask({ host: two.task.v4, port: 80, timeoutMs: 1500 }));
    const bytes = await capture.stop();
    t.false(bytes.includes(Buffer.of(10, 99, 0, 11)));
    await lab.tell([one]);
    t.is((await lab.ask(one, two)).task, `${SECRET}2`);
  });

  test.serial('a node takes from another only what that one’s tasks may send', async (t) => {
    const [one, two, three] = lab.nodes as [Node, Node, Node];
    // The third node sends as the task of the first, properly encrypted with its own key.
    lab.lab.sh(three.netns, `ip addr add ${one.task.v4}/32 dev lo`);
    const device = DEVICES[means]!;
    lab.lab.sh(three.netns, `ip route replace ${two.task.v4} dev ${device} src ${one.task.v4}`);
    const before = lab.received(two);
    await three.agent.askUdp({ host: two.task.v4, port: 7, timeoutMs: 500 }).catch(() => undefined);
    t.is(lab.received(two), before);
    lab.lab.sh(three.netns, `ip addr del ${one.task.v4}/32 dev lo`);
    await lab.tell([three]);
    t.is((await lab.ask(three, two)).task, `${SECRET}2`);
  });

  test.serial('large packets fit', async (t) => {
    const [one, two] = lab.nodes as [Node, Node];
    const bytes = 300_000;
    const capture = await Capture.start(one.netns);
    t.is(await one.task.agent.upload({ host: two.task.v4, port: 80, bytes }), bytes);
    const sizes = packetSizes(await capture.stop());
    // With an Ethernet header of 14 bytes; and large ones were among them.
    t.true(Math.max(...sizes) <= 1514);
    t.true(Math.max(...sizes) > 1450);
  });

  test.serial('connections survive a change of keys', async (t) => {
    const [one, two] = lab.nodes as [Node, Node];
    const id = await one.task.agent.open({ host: two.task.v4, port: 80, timeoutMs: 120_000 });
    const before = one.offer.publicKey;
    one.offer = await one.agent.changeKeys();
    t.not(one.offer.publicKey, before);
    await lab.tell();
    t.is((await one.task.agent.again(id)).task, `${SECRET}2`);
    two.offer = await two.agent.changeKeys();
    // The other node hears of it first this time.
    await lab.tell([one]);
    await lab.tell();
    t.is((await one.task.agent.again(id)).task, `${SECRET}2`);
    await one.task.agent.end(id);
    t.is((await lab.ask(two, one, true)).task, `${SECRET}1`);
  });

  test.serial('what somebody removed comes back', async (t) => {
    const [one, two] = lab.nodes as [Node, Node];
    t.false((await one.agent.repairEncryption()).isDamaged);
    lab.lab.sh(
      one.netns,
      means === 'wireguard' ? 'ip link del swarm-wg' : 'ip xfrm state flush; ip xfrm policy flush',
    );
    const { isDamaged, offer } = await one.agent.repairEncryption();
    t.true(isDamaged);
    one.offer = offer!;
    await lab.tell();
    t.is((await lab.ask(one, two)).task, `${SECRET}2`);
    t.is((await lab.ask(two, one)).task, `${SECRET}1`);
  });

  test.serial('a member that goes is not led to', async (t) => {
    const [one, two, three] = lab.nodes as [Node, Node, Node];
    const network = lab.network;
    const members = network.members.filter(({ nodeId }) => nodeId !== 'node2');
    await lab.tell([one], { ...network, members });
    const before = lab.received(two);
    await one.task.agent
      .askUdp({ host: two.task.v4, port: 80, timeoutMs: 500 })
      .catch(() => undefined);
    t.is(lab.received(two), before);
    t.is((await lab.ask(one, three)).task, `${SECRET}3`);
    await lab.tell([one]);
    t.is((await lab.ask(one, two)).task, `${SECRET}2`);
  });

  test.serial('a successor of the process takes over; the end leaves nothing', async (t) => {
    const [one, two] = lab.nodes as [Node, Node];
    const id = await one.task.agent.open({ host: two.task.v4, port: 80, timeoutMs: 120_000 });
    await two.agent.closeEncryption({ keep: true });
    t.is((await one.task.agent.again(id)).task, `${SECRET}2`);
    const { offer } = await two.agent.openEncryption();
    two.offer = offer!;
    await two.agent.startEncryption(lab.peer(two));
    await lab.tell([two]);
    await lab.tell();
    t.is((await one.task.agent.again(id)).task, `${SECRET}2`);
    await one.task.agent.end(id);
    for (const { agent, netns } of lab.nodes) {
      await agent.closeEncryption({ keep: false });
      t.notRegex(lab.lab.sh(netns, 'ip link; nft list tables'), /swarm/);
      t.is(lab.lab.sh(netns, 'ip xfrm state 2>/dev/null; ip xfrm policy 2>/dev/null; true'), '');
    }
  });
} else {
  test(`SKIPPED, encrypted traffic is not tested: ${problem}`, (t) => {
    t.log(problem);
    t.pass();
  });
}
