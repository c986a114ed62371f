import test from 'ava';
import { until } from '@swarm/sim';
import { labProblem } from './lab/lab.js';
import {
  OverlayCluster,
  type OverlayNode,
  type OverlayTask,
  TASK_PORT,
} from './lab/overlay-cluster.js';

const problem = labProblem();
let cluster: OverlayCluster;

const VIP = '10.0.1.2';

/** Everything of ours that a node's kernel has, with numbers that mean nothing left out. */
function held({ netns }: OverlayNode): string {
  return cluster.lab.sh(
    netns,
    `ip -o link show | sed 's/^[0-9]*: //; s/@if[0-9]*//; s/ link-netns.*//; s/ qdisc.*//' | sort
     ip -4 route show table all; ip -6 route show table all | grep -v 'multicast\\|fe80' || true; ip rule; ip -6 rule
     nft list tables | sort; nft list table inet swarm_mesh 2>&1 | sed -n '/chain /,/}/p'
     for s in own joined walled internal senders selves vip_twelve vip_ten vip_narrow vip_wide vip_closed vip_multi peers underlay; do
       nft list set inet swarm_mesh $s 2>&1 || true
     done
     for s in networks here vip_slots vip_members zones; do
       nft list map inet swarm_mesh $s 2>&1 || true
     done`,
  );
}

if (problem === undefined) {
  test.before(async () => {
    cluster = await OverlayCluster.open('os');
  });
  test.afterEach.always(() => cluster.reset());
  test.after.always(() => cluster.close());

  /** Each task reaches each, and by the virtual address. */
  async function works(
    t: { is(a: unknown, b: unknown, why?: string): void },
    tasks: OverlayTask[],
  ) {
    for (const from of tasks) {
      for (const to of tasks) {
        t.is((await cluster.ask(from, cluster.addressOf(to, 'net1'))).task, to.taskId);
      }
      await cluster.ask(from, VIP);
    }
  }

  test.serial('a restarted daemon takes networks over, and no connection notices', async (t) => {
    cluster.network('net1', '10.0.1.0/24');
    cluster.network('net2', '10.0.2.0/24');
    cluster.service('web', 2, 'net1');
    const near = await cluster.task({ node: 1, networks: ['net1'], service: 'web' });
    const far = await cluster.task({ node: 2, networks: ['net1'], service: 'web' });
    const gone = await cluster.task({ node: 1, networks: ['net2'] });
    await cluster.apply();
    const direct = await near.agent.open({ host: cluster.addressOf(far, 'net1'), port: TASK_PORT });
    const inward = await far.agent.open({ host: cluster.addressOf(near, 'net1'), port: TASK_PORT });
    const byVip = await near.agent.open({ host: VIP, port: TASK_PORT });
    await near.agent.loadStart({ host: VIP, port: TASK_PORT, workers: 2 });
    const alive = async () => {
      await near.agent.again(direct);
      await far.agent.again(inward);
      await near.agent.again(byVip);
    };
    await alive();
    await cluster.nodes[0]!.agent.close({ keep: true });
    await cluster.nodes[0]!.agent.stop();
    await alive();
    const next = await cluster.successor(cluster.nodes[0]!);
    await cluster.startMesh(next);
    await next.agent.retain([near.taskId]);
    await alive();
    // The state may come before the tasks are told again.
    await cluster.apply([next]);
    await alive();
    await works(t, [near, far]);
    await next.agent.adopt(near.attachment);
    await alive();
    await cluster.apply();
    await works(t, [near, far]);
    const { errors } = await near.agent.loadStop();
    t.deepEqual(errors, []);
    t.notRegex(held(next), /10\.0\.2\.0/, 'the network of the task that is gone');
    t.regex(held(next), /unreachable 10\.0\.1\.0\/24/);
    await cluster.stop(gone);
  });

  test.serial('what somebody removes is restored: rules, routes, table, tunnel', async (t) => {
    cluster.network('net1', '10.0.1.0/24');
    cluster.service('web', 2, 'net1');
    const tasks = [
      await cluster.task({ node: 1, networks: ['net1'], service: 'web' }),
      await cluster.task({ node: 2, networks: ['net1'], service: 'web' }),
    ];
    await cluster.apply();
    const [node] = cluster.nodes;
    const before = held(node!);
    for (const harm of [
      'nft flush ruleset',
      'nft delete table ip swarm_timeouts',
      'ip route flush table 7999488',
      'ip rule del pref 17001',
      'ip route del unreachable 10.0.1.0/24 metric 65000',
      'ip link del swarm-vxlan',
    ]) {
      cluster.lab.sh(node!.netns, harm);
      t.not(held(node!), before, harm);
      await until(harm, () => held(node!) === before);
      await works(t, tasks);
    }
  });

  test.serial('tasks and networks that come and go leave nothing', async (t) => {
    t.timeout(600_000);
    const { agent } = cluster.nodes[0]!;
    const namespaces = [0, 1, 2, 3].map((i) => cluster.lab.emptyNamespace(`c${i}`));
    await cluster.apply();
    const before = held(cluster.nodes[0]!);
    const logged = await agent.logged();
    const networks = 40;
    const tasks = 5;
    for (let n = 0; n < networks; n++) {
      const subnet = `10.${1 + (n >> 8)}.${n & 255}.0/24`;
      const base = subnet.replace('0/24', '');
      const overlay = {
        networkId: `n${n}`,
        name: `n${n}`,
        subnets: [subnet],
        isInternal: n % 3 === 0,
        isEncrypted: false,
      };
      const members = Array.from({ length: 4 }, (_, i) => ({
        taskId: `far${n}x${i}`,
        nodeId: `node${2 + (i % 2)}`,
        serviceId: 'svc',
        names: [],
        networks: [{ networkId: overlay.networkId, addresses: [`${base}${100 + i}`] }],
        serves: i !== 0,
      }));
      const state = {
        ...cluster.state(),
        services: [
          {
            serviceId: 'svc',
            name: 'svc',
            networks: [{ networkId: overlay.networkId, vips: [`${base}2`], aliases: [] }],
          },
        ],
        members,
      };
      await agent.apply(state);
      for (let i = 0; i < tasks; i++) {
        const taskId = `leak${n}x${i}`;
        await agent.attach({
          taskId,
          netns: namespaces[i % namespaces.length]!,
          attachments: [
            { networkId: overlay.networkId, overlay, addresses: [`${base}${10 + i}/32`] },
          ],
        });
        if (i % 2 === 0) await agent.apply({ ...cluster.state(), members: members.slice(i % 3) });
        await agent.detach(taskId);
      }
    }
    await cluster.apply();
    t.is(held(cluster.nodes[0]!), before);
    t.deepEqual(await agent.logged(), logged);
  });

  test.serial('nothing is left after close', async (t) => {
    cluster.network('net1', '10.0.1.0/24', 'fd00:1::/64');
    await cluster.task({ node: 3, networks: ['net1'] });
    await cluster.task({ node: 2, networks: ['net1'] });
    await cluster.apply();
    const [, , node] = cluster.nodes;
    t.regex(held(node!), /10\.0\.1\.0/);
    await node!.agent.close({ keep: false });
    const left = cluster.lab.sh(
      node!.netns,
      'ip link; ip route show table all; ip -6 route show table all; ip rule; ip -6 rule; nft list ruleset',
    );
    t.notRegex(left, /10\.0\.1\.|fd00:1|swt|swarm|17001|7999488/);
    await node!.agent.stop();
    await cluster.startMesh(await cluster.successor(node!));
  });
} else {
  test(`tests of overlay networks across restarts are skipped: ${problem}`, (t) => t.pass());
}
