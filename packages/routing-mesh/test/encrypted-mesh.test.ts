import test from 'ava';
import { Capture } from './lab/capture.js';
import { labProblem } from './lab/lab.js';
import { OverlayCluster } from './lab/overlay-cluster.js';

const SUBNETS = ['10.0.9.0/24', 'fd00:9::/64'];
/** 10.0.9, which begins the address of each task of the network. */
const PREFIX = Buffer.of(10, 0, 9);

const problem = labProblem();

if (problem === undefined) {
  let cluster: OverlayCluster;
  let canEncrypt: boolean;
  test.before(async () => {
    cluster = await OverlayCluster.open('em');
    canEncrypt = (await cluster.nodes[0]!.agent.encryption()) !== undefined;
  });
  test.afterEach.always(() => cluster.reset());
  test.after.always(() => cluster?.close());

  const secret = () =>
    cluster.defineNetwork({
      networkId: 'secret',
      name: 'secret-name',
      subnets: SUBNETS,
      isInternal: false,
      isEncrypted: true,
    });

  test.serial('a task is refused an encrypted network where the kernel has no means', async (t) => {
    secret();
    if (canEncrypt) {
      t.log('this kernel has means');
      t.pass();
      return;
    }
    await t.throwsAsync(cluster.task({ node: 1, networks: ['secret'] }), {
      message:
        /^mesh: task \w+ cannot have the encrypted network secret-name: this node cannot encrypt: the kernel has no WireGuard \(module wireguard.*; the kernel has no (?:IPsec|ESP|XFRM)/,
    });
  });

  test.serial('tasks of an encrypted network reach each other, unseen by others', async (t) => {
    if (!canEncrypt) {
      t.log('SKIPPED: this kernel has no means; scripts/qemu runs it with one that has');
      t.pass();
      return;
    }
    secret();
    cluster.network('open', '10.0.8.0/24');
    cluster.service('web', 2, 'secret');
    const [one, two, three] = [
      await cluster.task({ node: 1, networks: ['secret', 'open'] }),
      await cluster.task({ node: 2, networks: ['secret', 'open'], service: 'web' }),
      await cluster.task({ node: 3, networks: ['open'] }),
    ];
    const capture = await Capture.start(cluster.nodes[1]!.netns);
    await cluster.apply();
    for (const host of two.addresses.get('secret')!) {
      t.is((await cluster.ask(one, host)).task, two.taskId, host);
    }
    const seen = { task: two.taskId, address: cluster.addressOf(one, 'secret') };
    // By the virtual address of the service, too.
    for (const host of ['10.0.9.2', '10.0.9.2']) t.deepEqual(await cluster.ask(one, host), seen);
    t.false((await capture.stop()).includes(PREFIX));
    // The other network goes on as before, and nobody of it gets into this one.
    t.is((await cluster.ask(one, cluster.addressOf(two, 'open'))).task, two.taskId);
    t.is((await cluster.ask(three, cluster.addressOf(two, 'open'))).task, two.taskId);
    t.notRegex(await cluster.failure(three, cluster.addressOf(two, 'secret')), /answered/);
    // Links have room for what encryption adds.
    t.regex(cluster.lab.sh(one.netns, 'ip link show eth0'), /mtu 1440 /);
    t.regex(cluster.lab.sh(one.netns, 'ip link show eth1'), /mtu 1450 /);
  });
} else {
  test(`SKIPPED, encrypted networks of a whole mesh are not tested: ${problem}`, (t) => {
    t.log(problem);
    t.pass();
  });
}
