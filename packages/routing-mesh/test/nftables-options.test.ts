import { execFileSync } from 'node:child_process';
import test from 'ava';
import { MeshCluster } from './lab/cluster.js';
import { refusedAtOnce } from './lab/expect.js';
import { LAB_IPV6, labProblem } from './lab/lab.js';

const problem = labProblem();

if (problem === undefined) {
  let cluster: MeshCluster;
  test.before(async () => {
    cluster = await MeshCluster.nftables('o');
  });
  test.afterEach.always(() => cluster?.reset());
  test.after.always(() => cluster?.close());
  const address = (node: number): string => `198.18.0.${node}`;
  const ask = (host: string, port: number, localAddress?: string) =>
    cluster.client.agent.ask({
      host,
      port,
      timeoutMs: 20_000,
      ...(localAddress === undefined ? {} : { localAddress }),
    });

  /** Further addresses of the client. */
  const clients = (count: number): string[] => {
    const list = Array.from({ length: count }, (_, i) => `198.18.0.${150 + i}`);
    for (const one of list)
      cluster.lab.sh(cluster.client.netns, `ip addr add ${one}/24 dev eth0 2>/dev/null || true`);
    return list;
  };

  test.serial(
    'affinity: a client gets the same task by every node, also when others come and go',
    async (t) => {
      const tasks = [await cluster.task(1), await cluster.task(2), await cluster.task(3)];
      await cluster.publish(8200, tasks, 'tcp', { affinity: 'client' });
      const first = new Map<string, string>();
      for (const client of clients(24)) {
        for (const node of [1, 2, 3]) {
          const { task, address: seen } = await ask(address(node), 8200, client);
          t.is(seen, client);
          t.is(task, first.get(client) ?? task, `${client} by node ${node}`);
          first.set(client, task);
        }
      }
      t.is(new Set(first.values()).size, 3, 'all tasks get clients');
      await cluster.publish(8200, tasks.slice(0, 2), 'tcp', { affinity: 'client' });
      let moved = 0;
      for (const [client, before] of first) {
        const { task } = await ask(address(2), 8200, client);
        if (before !== tasks[2]!.taskId && task !== before) moved += 1;
      }
      t.true(moved <= 3, `${moved} clients of tasks that stayed were moved`);
      const v6 = await ask(`${LAB_IPV6}1`, 8200);
      for (const node of [1, 2, 3])
        t.is((await ask(`${LAB_IPV6}${node}`, 8200)).task, v6.task, 'over IPv6 too');
    },
  );

  test.serial('affinity: when the task refuses, the client is led to another one', async (t) => {
    const tasks = [await cluster.task(1), await cluster.task(2), await cluster.task(3)];
    await cluster.publish(8201, tasks, 'tcp', { affinity: 'client' });
    const own = tasks.find(({ taskId }) => taskId !== undefined)!;
    const { task: name } = await ask(address(1), 8201);
    const refusing = tasks.find(({ taskId }) => taskId === name) ?? own;
    await refusing.agent.unserve();
    for (let i = 0; i < 4; i += 1) t.not((await ask(address(1), 8201)).task, name);
  });

  test.serial(
    'weights: connections are shared in proportion, and weight 0 gets none',
    async (t) => {
      const [old, next, none] = [
        await cluster.task(1),
        await cluster.task(2),
        await cluster.task(3),
      ];
      await cluster.publish(8202, [
        { ...old, weight: 90 },
        { ...next, weight: 10 },
        { ...none, weight: 0 },
      ]);
      const count = new Map<string, number>();
      for (let i = 0; i < 300; i += 1) {
        const { task } = await ask(address(3), 8202);
        count.set(task, (count.get(task) ?? 0) + 1);
      }
      t.is(count.get(none.taskId), undefined);
      // 30 are expected; 10 and 60 are more than five standard deviations away.
      const share = count.get(next.taskId) ?? 0;
      t.true(share > 8 && share < 60, `${share} of 300`);
    },
  );

  test.serial(
    'traffic policies: local refuses where there is no task, prefer-local goes elsewhere',
    async (t) => {
      const [one, two] = [await cluster.task(1), await cluster.task(2)];
      await cluster.publish(8203, [one, two], 'tcp', { policy: 'local' });
      for (let i = 0; i < 6; i += 1) {
        t.is((await ask(address(1), 8203)).task, one.taskId);
        t.is((await ask(`${LAB_IPV6}2`, 8203)).task, two.taskId);
      }
      await refusedAtOnce(t, cluster, address(3), 8203);
      await cluster.publish(8203, [one, two], 'tcp', { policy: 'prefer-local' });
      for (let i = 0; i < 6; i += 1) t.is((await ask(address(1), 8203)).task, one.taskId);
      t.truthy((await ask(address(3), 8203)).task);
      await cluster.publish(8203, [two], 'tcp', { policy: 'prefer-local' });
      t.is((await ask(address(1), 8203)).task, two.taskId);
    },
  );

  test.serial(
    'the PROXY protocol: over IPv6 too, and no client reaches a task without it',
    async (t) => {
      const task = await cluster.task(2);
      await cluster.publish(8206, [task], 'tcp', { proxyProtocol: 'v1' });
      const { agent, netns } = cluster.client;
      const from = await agent.ask({ host: `${LAB_IPV6}1`, port: 8206, localPort: 5040 });
      t.is(from.proxied, `v1 ${LAB_IPV6}100 5040`);
      // The address that the proxy dials.
      cluster.lab.sh(netns, 'ip route add 10.240.1.1/32 via 198.18.0.1');
      const dialled = await agent.ask({ host: '10.240.1.1', port: 8206, localPort: 5041 });
      t.is(dialled.proxied, 'v1 198.18.0.100 5041');
      cluster.lab.sh(netns, 'ip route del 10.240.1.1/32');
      const own = await cluster.nodes[0]!.agent.ask({
        host: '127.0.0.1',
        port: 8206,
        localPort: 5042,
      });
      t.is(own.proxied, 'v1 127.0.0.1 5042');
      await cluster.publish(8206, [], 'tcp', { proxyProtocol: 'v1' });
      await refusedAtOnce(t, cluster, address(1), 8206);
      await cluster.publish(8206, [task]);
      const kept = await agent.ask({ host: address(1), port: 8206 });
      t.is(kept.address, '198.18.0.100', 'in the kernel again');
    },
  );

  test.serial(
    'host_ip: only that address serves the port, and only on the node that has it',
    async (t) => {
      const task = await cluster.task(2);
      const { netns } = cluster.nodes[0]!;
      cluster.lab.sh(netns, 'ip addr add 198.18.0.201/24 dev eth0');
      await cluster.publish(8204, [task], 'tcp', { hostIp: '198.18.0.201' });
      t.like(await ask('198.18.0.201', 8204), { task: task.taskId, address: '198.18.0.100' });
      for (const host of [address(1), address(2), `${LAB_IPV6}1`, `${LAB_IPV6}2`]) {
        await t.throwsAsync(ask(host, 8204), { code: 'ECONNREFUSED' }, host);
      }
      const [node] = cluster.nodes;
      await t.throwsAsync(node!.agent.ask({ host: '127.0.0.1', port: 8204 }));
      // A program of the host may have the port at another address.
      await cluster.publish(8204, [task], 'tcp', { hostIp: `${LAB_IPV6}1` });
      t.like(await ask(`${LAB_IPV6}1`, 8204), { task: task.taskId, address: `${LAB_IPV6}100` });
      await t.throwsAsync(ask(address(1), 8204), { code: 'ECONNREFUSED' });
      await cluster.publish(8204, [task], 'tcp', { hostIp: '0.0.0.0' });
      t.is((await ask(address(3), 8204)).task, task.taskId);
      await t.throwsAsync(ask(`${LAB_IPV6}3`, 8204), { code: 'ECONNREFUSED' });
      await cluster.publish(8204, [task], 'tcp', { hostIp: '127.0.0.1' });
      t.is((await node!.agent.ask({ host: '127.0.0.1', port: 8204 })).task, task.taskId);
      await t.throwsAsync(ask(address(1), 8204), { code: 'ECONNREFUSED' });
      await cluster.publish(8204, [task]);
      for (const host of [address(1), '198.18.0.201', `${LAB_IPV6}3`])
        t.is((await ask(host, 8204)).task, task.taskId, host);
      cluster.lab.sh(netns, 'ip addr del 198.18.0.201/24 dev eth0');
    },
  );

  test.serial('host_ip of a host port: only that address leads to the task', async (t) => {
    const { netns, agent } = cluster.nodes[0]!;
    cluster.lab.sh(netns, 'ip addr add 198.18.0.202/24 dev eth0');
    const task = await cluster.task(1, (targetPort) => [
      { protocol: 'tcp', publishedPort: 9100, targetPort, hostIp: '198.18.0.202' },
    ]);
    await agent.servesIpv6(await cluster.sockets(task));
    t.like(await ask('198.18.0.202', 9100), { task: task.taskId, address: '198.18.0.100' });
    for (const host of [address(1), `${LAB_IPV6}1`])
      await t.throwsAsync(ask(host, 9100), { code: 'ECONNREFUSED' });
    cluster.lab.sh(netns, 'ip addr del 198.18.0.202/24 dev eth0');
    await agent.detach(task.taskId);
    await refusedAtOnce(t, cluster, address(1), 9100);
  });

  test.serial(
    'SCTP packets of a client reach a task on another node with its address',
    async (t) => {
      if (!hasPython()) {
        t.log('not tested: python3, which sends the raw packets, is missing');
        t.pass();
        return;
      }
      const task = await cluster.task(2);
      await cluster.publish(8205, [task], 'sctp');
      cluster.lab.sh(
        task.netns,
        "nft 'table ip probe { chain c { type filter hook input priority 0; ip protocol sctp ip saddr 198.18.0.100 sctp dport 80 counter; }; }'",
      );
      cluster.lab.sh(
        cluster.client.netns,
        `python3 -c '${SCTP_INIT}' 198.18.0.100 198.18.0.1 8205`,
      );
      const counted = cluster.lab.sh(task.netns, 'nft list table ip probe');
      t.regex(counted, /counter packets [1-9]/);
    },
  );
} else {
  test(`SKIPPED, options of ports are not tested: ${problem}`, (t) => {
    t.log(problem);
    t.pass();
  });
}

function hasPython(): boolean {
  try {
    execFileSync('python3', ['-c', 'import socket'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Sends an INIT (RFC 9260) by a raw socket, since the kernel need not have SCTP itself: FROM TO PORT. */
const SCTP_INIT = `
import socket, struct, sys
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 7, 65535, 1, 1, 1)
head = struct.pack("!HHI", 40000, int(sys.argv[3]), 0)
total = crc32c(head + bytes(4) + chunk)
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
s.bind((sys.argv[1], 0))
s.sendto(head + struct.pack("<I", total) + chunk, (sys.argv[2], 0))
`;
