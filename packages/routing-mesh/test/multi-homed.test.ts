import { until } from '@swarm/sim';
import test from 'ava';
import { type Host, MeshLab, labProblem } from './lab/lab.js';

const problem = labProblem();

/** Hosts with two interfaces, and two addresses on the second one; the tunnel has the last of these. */
if (problem === undefined) {
  let lab: MeshLab;
  let hosts: Host[];
  const dataPath = (index: number) => `198.19.7.${100 + index}`;
  const peers = [1, 2].map((index) => ({
    nodeId: `node${index}`,
    index,
    address: dataPath(index),
    subnet: `10.240.${index}.0/24`,
    probed: true,
  }));

  test.before(async () => {
    lab = new MeshLab('m');
    hosts = await Promise.all([1, 2].map((index) => lab.host(`n${index}`, `198.18.0.${index}`)));
    for (const [i, { netns }] of hosts.entries()) {
      // As a VLAN's device is called: this kernel may lack those.
      lab.addCable(netns, 'eth1.7', `198.19.7.${i + 1}`);
      lab.sh(netns, `ip addr add ${dataPath(i + 1)}/24 dev eth1.7`);
      // What comes for the tunnel, by where from.
      lab.sh(
        netns,
        `nft add table ip seen
         nft add chain ip seen in '{ type filter hook input priority -400; }'
         nft add rule ip seen in udp dport 4789 iifname eth1.7 ip saddr ${dataPath(2 - i)} ip daddr ${dataPath(i + 1)} counter accept
         nft add rule ip seen in udp dport 4789 counter`,
      );
    }
  });

  test.after.always(() => lab?.close());

  test.serial('the tunnel goes by the data path address, whatever else a host has', async (t) => {
    for (const [i, { agent }] of hosts.entries()) {
      await agent.createMesh({ backend: 'nftables' });
      await agent.start(peers[i]!);
    }
    for (const { agent } of hosts) await agent.apply({ generation: 1, peers, ports: [] });
    const counts = ({ netns }: Host) =>
      [...lab.sh(netns, 'nft list chain ip seen in').matchAll(/packets (\d+)/g)].map(([, n]) =>
        Number(n),
      );
    await until('packets of both sizes have come', () =>
      hosts.every((host) => counts(host)[0]! >= 8),
    );
    for (const host of hosts) t.is(counts(host)[1], 0, 'none from or to another address');
    for (const { agent } of hosts) t.deepEqual((await agent.paths())?.Problems, []);
  });

  test.serial('an address that the host lacks is refused with the flag to set', async (t) => {
    const { agent } = await lab.host('n3', '198.18.0.3');
    await agent.createMesh({ backend: 'nftables' });
    await t.throwsAsync(
      agent.start({ nodeId: 'n3', index: 3, address: '198.19.7.9', subnet: '10.240.3.0/24' }),
      {
        message: /no device of this node has the data path address 198\.19\.7\.9.*--data-path-addr/,
      },
    );
  });
} else {
  test(`lab tests are skipped: ${problem}`, (t) => t.pass());
}
