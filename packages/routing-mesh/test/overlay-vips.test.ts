import test from 'ava';
import { until } from '@swarm/sim';
import { labProblem } from './lab/lab.js';
import { OverlayCluster, type OverlayTask, TASK_PORT } from './lab/overlay-cluster.js';

const problem = labProblem();
let cluster: OverlayCluster;

const VIP = '10.0.1.2';
/** A client waits a second before its second attempt: a refusal of the first is faster. */
const FIRST_ATTEMPT_MS = 900;

/** Sends an echo request, and prints who answers it: not every host has `ping`, but perl. */
const echo = (address: string): string =>
  `perl -MSocket -e '
    socket(S, PF_INET, SOCK_RAW, 1) or die $!;
    alarm 3;
    send(S, pack("CCnnn", 8, 0, 0xf7ff - 77 - 1, 77, 1), 0, sockaddr_in(0, inet_aton("${address}")));
    for (;;) {
      my $from = recv(S, my $answer, 100, 0);
      print(inet_ntoa((sockaddr_in($from))[1])), exit if unpack("x20C", $answer) == 0;
    }'`;

/** Members of the service `web` on these nodes, and one more task on node 1. */
async function web(...nodes: number[]): Promise<{ client: OverlayTask; members: OverlayTask[] }> {
  cluster.network('net1', '10.0.1.0/24');
  cluster.service('web', 2, 'net1');
  const members = [];
  for (const node of nodes) {
    members.push(await cluster.task({ node, networks: ['net1'], service: 'web' }));
  }
  const client = await cluster.task({ node: 1, networks: ['net1'] });
  await cluster.apply();
  return { client, members };
}

if (problem === undefined) {
  test.before(async () => {
    cluster = await OverlayCluster.open('ov');
  });
  test.afterEach.always(() => cluster.reset());
  test.after.always(() => cluster.close());

  test.serial(
    'a virtual address leads to all members evenly, and they see their caller',
    async (t) => {
      const { client, members } = await web(1, 2, 3);
      const counts = new Map<string, number>();
      const asked = 300;
      for (let i = 0; i < asked; i++) {
        const { task, address } = await cluster.ask(client, VIP);
        t.is(address, cluster.addressOf(client, 'net1'));
        counts.set(task, (counts.get(task) ?? 0) + 1);
      }
      t.is(counts.size, members.length);
      const expected = asked / members.length;
      const chi2 = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      // Two degrees of freedom: exceeded once in 10,000 runs.
      t.true(chi2 < 18.4, `χ² ${chi2}: ${[...counts.values()].join(' ')}`);
    },
  );

  test.serial('members get connections by their weights, and one of weight 0 none', async (t) => {
    const { client, members } = await web(1, 2, 3);
    const [canary, other, out] = members;
    Object.assign(canary!, { weight: 25 });
    Object.assign(other!, { weight: 100 });
    Object.assign(out!, { weight: 0 });
    await cluster.apply();
    const asked = 200;
    let toCanary = 0;
    for (let i = 0; i < asked; i++) {
      const { task } = await cluster.ask(client, VIP);
      t.not(task, out!.taskId);
      if (task === canary!.taskId) toCanary++;
    }
    // A share of a fifth, within four standard deviations.
    const off = Math.abs(toCanary - asked / 5) / Math.sqrt(asked * 0.2 * 0.8);
    t.true(off < 4, `${toCanary} of ${asked}`);
    for (const each of members) each.weight = 0;
    await cluster.apply();
    await t.notThrowsAsync(cluster.ask(client, VIP), 'there is no other member');
  });

  test.serial('every port, UDP and echo requests go by a virtual address', async (t) => {
    const { client, members } = await web(2);
    const [member] = members;
    await member!.agent.serve({ name: 'other', port: 8443 });
    t.is((await cluster.ask(client, VIP, 8443)).task, 'other');
    t.deepEqual(await cluster.askUdp(client, VIP, 8443), {
      task: 'other',
      address: cluster.addressOf(client, 'net1'),
    });
    t.is(cluster.lab.sh(client.netns, echo(VIP)), VIP);
    t.is(await cluster.failure(client, VIP, 81), 'ECONNREFUSED');
  });

  test.serial(
    'only members that serve get connections; without any, clients are refused at once',
    async (t) => {
      const { client, members } = await web(1, 2);
      members[0]!.serves = false;
      await cluster.apply();
      for (let i = 0; i < 10; i++) t.is((await cluster.ask(client, VIP)).task, members[1]!.taskId);
      members[1]!.serves = false;
      await cluster.apply();
      const begin = performance.now();
      t.is(await cluster.failure(client, VIP), 'ECONNREFUSED');
      t.true(performance.now() - begin < FIRST_ATTEMPT_MS);
      await t.throwsAsync(cluster.askUdp(client, VIP), { code: 'ECONNREFUSED' });
      members[0]!.serves = true;
      await cluster.apply();
      t.is((await cluster.ask(client, VIP)).task, members[0]!.taskId);
      t.is((await cluster.askUdp(client, VIP)).task, members[0]!.taskId);
    },
  );

  test.serial(
    'a member that refuses or is silent costs a second at most, not the connection',
    async (t) => {
      const { client, members } = await web(2, 1, 3);
      const [good, refusing, silent] = members;
      await refusing!.agent.unserve();
      cluster.lab.sh(silent!.netns, 'ip link del eth0');
      const answers = await Promise.all(
        Array.from({ length: 12 }, () => cluster.ask(client, VIP, TASK_PORT, 30_000)),
      );
      for (const { task } of answers) t.is(task, good!.taskId);
    },
  );

  test.serial('the only member refuses: so does its virtual address, at once', async (t) => {
    const { client, members } = await web(2);
    await members[0]!.agent.unserve();
    const begin = performance.now();
    t.is(await cluster.failure(client, VIP), 'ECONNREFUSED');
    t.true(performance.now() - begin < FIRST_ATTEMPT_MS);
  });

  test.serial(
    'a member reaches itself by its virtual address, also on an internal network',
    async (t) => {
      const { members } = await web(1);
      const [own] = members;
      t.is((await cluster.ask(own!, VIP)).task, own!.taskId);
      t.is((await cluster.askUdp(own!, VIP)).task, own!.taskId);
      cluster.defineNetwork({ ...cluster.network('inner', '10.0.3.0/24'), isInternal: true });
      cluster.service('db', 2, 'inner');
      const inner = await cluster.task({ node: 2, networks: ['inner'], service: 'db' });
      await cluster.apply();
      t.is((await cluster.ask(inner, '10.0.3.2')).task, inner.taskId);
    },
  );

  test.serial('UDP moves when its member goes, and stays with it until then', async (t) => {
    const { client, members } = await web(1, 2, 3);
    const { task: first } = await cluster.askUdp(client, VIP, TASK_PORT, 5000);
    for (let i = 0; i < 5; i++) {
      t.is((await cluster.askUdp(client, VIP, TASK_PORT, 5000)).task, first);
    }
    const gone = members.find(({ taskId }) => taskId === first)!;
    gone.serves = false;
    const begin = performance.now();
    await cluster.apply();
    t.not((await cluster.askUdp(client, VIP, TASK_PORT, 5000)).task, first);
    t.true(performance.now() - begin < 1000);
  });

  test.serial(
    'a connection lives on while members come and go, half-closed or silent',
    async (t) => {
      const { client, members } = await web(2);
      const to = { host: VIP, port: TASK_PORT };
      const [open, half] = [await client.agent.open(to), await client.agent.open(to)];
      await client.agent.again(open);
      await client.agent.halfClose(half);
      const more = await cluster.task({ node: 3, networks: ['net1'], service: 'web' });
      members[0]!.serves = false;
      await cluster.apply();
      t.is((await cluster.ask(client, VIP)).task, more.taskId);
      t.is((await client.agent.again(open)).task, members[0]!.taskId);
      await members[0]!.agent.tell('late');
      t.is(await client.agent.line(half), 'late');
      for (const node of [cluster.nodes[0]!, cluster.nodes[1]!]) {
        const flows = cluster.lab
          .sh(
            node.netns,
            `conntrack -L -p tcp --reply-src ${cluster.addressOf(members[0]!, 'net1')}`,
          )
          .split('\n')
          .filter((line) => /ESTABLISHED|CLOSE_WAIT/.test(line));
        t.is(flows.length, 2, node.peer.nodeId);
        for (const flow of flows) t.true(Number(flow.split(/\s+/)[2]) > 4 * 86_400, flow);
      }
      const sockets = {
        taskId: members[0]!.taskId,
        pid: await members[0]!.agent.pid(),
        addresses: [cluster.addressOf(members[0]!, 'net1')],
        ports: [],
        isOpen: true,
      };
      t.is(await cluster.nodes[1]!.agent.connections(sockets), 2, 'a drain waits for them');
      await client.agent.end(open);
      await members[0]!.agent.release();
      await client.agent.end(half);
      await until(
        'no connection is left',
        async () => (await cluster.nodes[1]!.agent.connections(sockets)) === 0,
      );
    },
  );

  test.serial('clients of members on a node that is down or gone get a reset', async (t) => {
    const { client, members } = await web(2, 3);
    const far = async (taskId: string): Promise<number> => {
      for (;;) {
        const id = await client.agent.open({ host: VIP, port: TASK_PORT });
        if ((await client.agent.again(id)).task === taskId) return id;
        await client.agent.end(id);
      }
    };
    const [dying, living] = [await far(members[0]!.taskId), await far(members[1]!.taskId)];
    cluster.lab.sh(cluster.nodes[1]!.netns, 'ip link set eth0 down');
    cluster.down.add('node2');
    await cluster.apply([cluster.nodes[0]!, cluster.nodes[2]!]);
    await t.throwsAsync(client.agent.again(dying), { code: 'ECONNRESET' });
    t.is((await client.agent.again(living)).task, members[1]!.taskId);
    for (let i = 0; i < 6; i++) t.is((await cluster.ask(client, VIP)).task, members[1]!.taskId);
    cluster.lab.sh(
      cluster.nodes[1]!.netns,
      'ip link set eth0 up; ip route replace default via 198.18.0.100',
    );
    cluster.down.clear();
    await cluster.apply();
    const back = await far(members[0]!.taskId);
    await client.agent.end(back);
    await client.agent.end(living);
  });

  test.serial('rolling members under load fails no request', async (t) => {
    const { client, members } = await web(1, 2, 3);
    await client.agent.loadStart({ host: VIP, port: TASK_PORT, workers: 4 });
    for (const old of members) {
      const next = await cluster.task({
        node: Number(old.node.peer.nodeId.slice(4)),
        networks: ['net1'],
        service: 'web',
      });
      await cluster.apply();
      old.serves = false;
      await cluster.apply();
      const sockets = {
        taskId: old.taskId,
        pid: await old.agent.pid(),
        addresses: [cluster.addressOf(old, 'net1')],
        ports: [],
        isOpen: true,
      };
      const { agent } = cluster.nodes.find(({ peer }) => peer === old.node.peer)!;
      await until('no connection is left', async () => (await agent.connections(sockets)) === 0);
      await cluster.stop(old);
      await cluster.apply();
      t.truthy(next);
    }
    const { ok, errors, byTask } = await client.agent.loadStop();
    t.deepEqual(errors, []);
    t.true(ok > 50);
    t.is(Object.keys(byTask).length, 6);
  });
} else {
  test(`tests of virtual addresses are skipped: ${problem}`, (t) => t.pass());
}
