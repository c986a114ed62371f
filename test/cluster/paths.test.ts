import type { Node } from '@swarm/api';
import test from 'ava';
import { Cluster, failuresOf, type Host, Lab, until } from '../lab/index.js';

/** Paths between nodes through the tunnel: what nodes find reaches people, tasks and clients. */
const PORT = 8080;
const TOLD_LIMIT_MS = 10_000;
let lab: Lab;
let cluster: Cluster;

/** By its path: under npx, npm's folder of programs comes first and has another `nft`. */
const NFT = '/usr/sbin/nft';
const BLOCKER = `
add table ip blocker
add chain ip blocker in { type filter hook input priority 0; }
`;

test.before(async (t) => {
  t.timeout(120_000);
  lab = await Lab.up({ name: 'paths', managers: 1, workers: 3, clients: 1 });
  cluster = new Cluster(lab);
  await cluster.createWeb('web', { replicas: 4, publish: `${PORT}:80` });
  await cluster.untilRunning('web', 4);
  await until('all nodes look at their paths', async () =>
    (await cluster.nodes()).every(({ Description }) => Description?.Paths !== undefined),
  );
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
});

/** What `node ls` says of each node that has something to say. */
async function said(): Promise<Record<string, string>> {
  const nodes = await cluster.nodes();
  const messages = nodes.flatMap(({ Description, Status }: Node) =>
    Status.Message === undefined ? [] : [[Description!.Hostname, Status.Message] as const],
  );
  return Object.fromEntries(messages);
}

async function untilSaid(expected: Record<string, string>): Promise<void> {
  const wanted = JSON.stringify(Object.entries(expected).sort());
  await until(
    `nodes say ${wanted}`,
    async () => JSON.stringify(Object.entries(await said()).sort()) === wanted,
    { deadlineMs: TOLD_LIMIT_MS },
  );
}

async function block(host: Host, rule: string): Promise<void> {
  await host.must([NFT, `${BLOCKER}add rule ip blocker in ${rule}`]);
}

async function unblock(host: Host): Promise<void> {
  await host.must([NFT, 'delete table ip blocker']);
}

test.serial(
  'a blocked port between two hosts is named with what to open, and avoided',
  async (t) => {
    t.timeout(120_000);
    const [w1, w2] = [lab.host('w1'), lab.host('w2')];
    // Both ends have had answers: what is lost from here on counts.
    await until('packets of full size pass', async () => {
      const text = await w1.must(['ip', '-s', '-j', 'link', 'show', 'swarm-vxlan']);
      const [device] = JSON.parse(text) as { stats64: { rx: { bytes: number } } }[];
      return device!.stats64.rx.bytes > 10_000;
    });
    await block(w2, `ip saddr ${w1.address} udp dport 4789 drop`);
    const opens = (a: Host, b: Host) => `let 4789/udp pass between ${a.address} and ${b.address}`;
    await untilSaid({
      w1: `does not reach w2 through the tunnel: ${opens(w1, w2)}`,
      w2: `does not reach w1 through the tunnel: ${opens(w2, w1)}`,
    });
    const doctor = await cluster.manager.exec(['swarm', 'doctor']);
    t.is(doctor.code, 1);
    t.regex(
      doctor.stdout,
      /^- w[12] and w[12] do not reach each other through the tunnel: let 4789\/udp pass between 198\.18\.0\.5[12] and 198\.18\.0\.5[12]$/m,
    );
    const seen = await cluster.request(lab.host('c1'), {
      port: PORT,
      requests: 60,
      targets: [w1.address],
    });
    t.is(seen.failures, 0, failuresOf(seen));
    await unblock(w2);
    await untilSaid({});
    t.pass();
  },
);

test.serial('new tasks go past a node that reaches no other', async (t) => {
  t.timeout(120_000);
  const w3 = lab.host('w3');
  await block(w3, 'udp dport 4789 drop');
  await until('w3 is cut off', async () => {
    const message = (await said()).w3 ?? '';
    return /^does not reach .* and .* through the tunnel: .*; new tasks go to other nodes first$/.test(
      message,
    );
  });
  await cluster.createWeb('late', { replicas: 6, publish: '8081:80' });
  await cluster.untilRunning('late', 6);
  const nodes = await cluster.nodes();
  const cut = nodes.find(({ Description }) => Description?.Hostname === 'w3')!;
  t.false((await cluster.running('late')).some(({ NodeID }) => NodeID === cut.ID));
  await unblock(w3);
  await untilSaid({});
});

test.serial('a daemon that is killed and starts again is no blocked path', async (t) => {
  t.timeout(120_000);
  const w1 = lab.host('w1');
  await w1.killDaemon();
  await w1.startDaemons();
  const quietMs = performance.now() + 2 * TOLD_LIMIT_MS;
  await until(
    'nothing is said of paths for 20 s',
    async () => {
      for (const message of Object.values(await said())) t.notRegex(message, /tunnel/);
      return performance.now() > quietMs;
    },
    { deadlineMs: 3 * TOLD_LIMIT_MS },
  );
  t.pass();
});
