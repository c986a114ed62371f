import { WebSocketServer, WebSocket } from 'ws';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { MemberId, MemberInfo } from '../../src/core/types.js';
import { systemClock } from '../../src/host/clock.js';
import type { RaftLimits } from '../../src/host/options.js';
import { RaftNode } from '../../src/host/raft-node.js';
import type { Metric } from '../../src/metrics.js';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory-storage.js';
import { RAFT_SNAPSHOT_PATH } from '../../src/transport/hello.js';
import { socketOptions } from '../../src/transport/ws-connect.js';
import { WsTransport } from '../../src/transport/ws-transport.js';
import { until } from '../../src/contract/until.js';
import { bytes, TestCluster } from '../support/cluster.js';
import { BreakingProxy } from '../support/breaking-proxy.js';
import { ListStateMachine } from '../support/list-state-machine.js';

const MIB = 1024 * 1024;
const LIMITS: Partial<RaftLimits> = { snapshotInterval: 10, trailingEntries: 2 };
const QUIET = { debug() {}, info() {}, warn() {} };

function counter(metrics: readonly Metric[], name: string): number {
  const metric = metrics.find((each) => each.name === `swarm_raft_${name}`);
  if (metric === undefined || metric.kind === 'histogram') throw new Error(`no counter ${name}`);
  return metric.values[0]!.value;
}

/** A node over real sockets. Snapshots to it may go through a proxy. */
class SocketHost {
  readonly info: MemberInfo;
  readonly state = new ListStateMachine({ index: 0, items: [] });
  /** Where the others reach its snapshot path. */
  snapshotPort: number;
  node: RaftNode | undefined;
  private readonly server: WebSocketServer;
  private readonly hosts: Map<MemberId, SocketHost>;

  private constructor(server: WebSocketServer, id: MemberId, hosts: Map<MemberId, SocketHost>) {
    this.server = server;
    const { port } = server.address() as AddressInfo;
    this.info = { id, address: `127.0.0.1:${port}`, nodeId: `node-${id}` };
    this.snapshotPort = port;
    this.hosts = hosts;
    hosts.set(id, this);
  }

  static async listen(id: MemberId, hosts: Map<MemberId, SocketHost>): Promise<SocketHost> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...socketOptions() });
    await new Promise((resolve) => server.once('listening', resolve));
    return new SocketHost(server, id, hosts);
  }

  async open(how: { members: readonly MemberInfo[] } | { seeds: readonly MemberInfo[] }) {
    const clock = systemClock();
    const transport = new WsTransport({
      self: this.info,
      clusterId: 'cluster',
      connect: ({ id, address }, path) => {
        const to =
          path === RAFT_SNAPSHOT_PATH ? `127.0.0.1:${this.hosts.get(id)!.snapshotPort}` : address;
        return new WebSocket(`ws://${to}${path}`, {
          ...socketOptions(),
          headers: { 'x-node': this.info.nodeId },
        });
      },
      clock,
      random: Math.random,
      logger: QUIET,
    });
    this.server.on('connection', (socket, { headers, url }) => {
      transport.accept(socket, { nodeId: String(headers['x-node']) }, url);
    });
    this.node = await RaftNode.open({
      id: this.info.id,
      ...how,
      storage: new MemoryStorage({ disk: new MemoryDisk() }),
      transport,
      stateMachine: this.state,
      clock,
      random: Math.random,
      limits: LIMITS,
    });
    return this.node;
  }

  async close(): Promise<void> {
    await this.node?.stop();
    for (const socket of this.server.clients) socket.terminate();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

test('a member gets a large snapshot over a link that breaks every MiB, with less than a fifth sent twice', async (t) => {
  const hosts = new Map<MemberId, SocketHost>();
  const leader = await SocketHost.listen(1, hosts);
  const joining = await SocketHost.listen(2, hosts);
  const proxy = await BreakingProxy.listen(joining.snapshotPort, () => MIB);
  joining.snapshotPort = proxy.port;
  try {
    const node = await leader.open({ members: [leader.info] });
    await until('it leads', () => node.status().role === 'leader');
    for (let i = 0; i < 24; i++) await node.propose(bytes(`${i} `.padEnd(MIB / 2, 'abcdefgh')));
    const stateBytes = JSON.stringify(leader.state.items).length;
    t.true(stateBytes > 12 * MIB);
    await joining.open({ seeds: [leader.info] });
    await node.addMember(joining.info);
    await until('all of it', () => joining.state.items.length === 24);
    t.deepEqual(joining.state.items, leader.state.items);
    t.is(joining.state.restored, 1);
    const metrics = node.metrics();
    const sent = counter(metrics, 'snapshot_sent_bytes_total');
    const resumed = counter(metrics, 'snapshots_resumed_total');
    t.log(`${(sent / stateBytes).toFixed(3)} times the state was sent, ${resumed} times resumed`);
    t.true(resumed >= 11, String(resumed));
    t.true(sent < 1.2 * stateBytes, `${sent} of ${stateBytes}`);
    t.true(proxy.forwarded < 1.2 * stateBytes);
    await until('no view is held', () => leader.state.openViews === 0);
  } finally {
    for (const host of hosts.values()) await host.close();
    await proxy.close();
  }
});

/** A cluster with one member, currently down, that needs a snapshot. */
async function lagging(limits: Partial<RaftLimits> = {}) {
  const cluster = await TestCluster.bootstrap(3, 1, { ...LIMITS, ...limits });
  const leader = await cluster.waitLeader();
  const away = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.kill(away);
  const items = Array.from({ length: 40 }, (_, i) => `p${i}`);
  for (const item of items) await cluster.propose(item);
  return { cluster, leader, away, items };
}

test('a snapshot of a deposed leader ends at its receiver and at its sender', async (t) => {
  const { cluster, leader, away, items } = await lagging();
  const view = leader.state.view.bind(leader.state);
  leader.state.view = async () => {
    const whole = await view();
    // It breaks, and nobody resumes it.
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array([91]);
      await new Promise<never>(() => {});
    };
    return { ...whole, chunks };
  };
  await cluster.start(away);
  const { state } = cluster.host(away);
  const restore = state.restore.bind(state);
  const errors: string[] = [];
  state.restore = async (meta, chunks) => {
    try {
      await restore(meta, chunks);
    } catch (error) {
      errors.push((error as Error).message);
      throw error;
    }
  };
  await cluster.clock.until(() => leader.state.openViews === 1, 'a view is read');
  await cluster.clock.advance(50);
  cluster.isolate(leader.id);
  const next = await cluster.waitLeader(leader.id);
  await cluster.clock.until(() => errors.length > 0, 'the state machine sees an error');
  t.is(errors.length, 1);
  t.regex(errors[0]!, /its sender no longer leads/);
  t.is(cluster.host(away).fatal, undefined);
  // The deposed leader gives up by itself, far sooner than its timeout.
  await cluster.clock.until(() => leader.state.openViews === 0, 'its view is released');
  cluster.network.heal();
  await cluster.finish(next.node!.propose(bytes('after')));
  await cluster.waitItems([...items, 'after']);
  await cluster.stop();
});

test('a snapshot that moves is not given up, one that does not is', async (t) => {
  const timeoutMs = 2_000;
  const { cluster, leader, away, items } = await lagging({ snapshotTimeoutMs: timeoutMs });
  const view = leader.state.view.bind(leader.state);
  let views = 0;
  leader.state.view = async () => {
    const whole = await view();
    views++;
    const hangs = views === 1;
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of whole.chunks()) {
        for (const byte of chunk) {
          yield Uint8Array.of(byte);
          if (hangs) await new Promise<never>(() => {});
          // The network of these tests reports nothing by itself.
          cluster.network.handler(leader.id)?.snapshotMoved(away, { kind: 'arrived' });
          await new Promise<void>((resolve) => {
            cluster.clock.setTimeout(resolve, 50);
          });
        }
      }
    };
    return { ...whole, chunks };
  };
  await cluster.start(away);
  await cluster.clock.until(() => views === 1, 'a first view');
  await cluster.clock.until(() => views === 2, 'a second view', 20_000);
  const startMs = cluster.clock.now();
  await cluster.waitItems(items);
  t.is(views, 2);
  t.true(cluster.clock.now() - startMs > 2 * timeoutMs);
  await cluster.stop();
});
