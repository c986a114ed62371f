import { OverlayCluster } from '@swarm/routing-mesh/lab';
import { setTimeout as delay } from 'node:timers/promises';
import { atMost, median } from '../report.js';
import type { Figures } from './traffic.js';

const SERVICES = 5000;
const ENDPOINTS = 5;
const UPDATES = 200;
/** By whole states, for comparison. */
const WHOLE = 20;
const CONNECTS = 1500;
/** A port of a task that really answers, beside those of the state on paper. */
const REAL_PORT = 8080;
/** As daemons do: what it costs is spread over the changes that come meanwhile. */
const CHECK_MS = 15_000;
/** Until a process has given memory back. */
const SETTLE_MS = 5000;

/** What a change of endpoints costs among many services, and a rebuild of all of them. */
export async function measureChanges(say: (text: string) => void): Promise<Figures> {
  const cluster = await OverlayCluster.open('bc', 2, CHECK_MS);
  try {
    const [node] = cluster.nodes;
    const task = await cluster.task({ node: 1, networks: ['ingress'] });
    cluster.publish(REAL_PORT, [task]);
    const { peers, ports } = cluster.state();
    let { agent } = node!;
    const generation = async (): Promise<number> =>
      (await agent.apply({ generation: 0, peers, ports: [] })).generation;
    const state = (count: number, at: number) => ({
      ...{ generation: at, peers },
      ports: [
        ...ports,
        ...Array.from({ length: count }, (_, port) => ({
          ...({ protocol: 'tcp', publishedPort: 20_000 + port, serviceId: `s${port}` } as const),
          endpoints: Array.from({ length: ENDPOINTS }, (_each, i) => {
            const peer = peers[i % peers.length]!;
            const address = peer.subnet.replace('0/24', `${10 + i}`);
            return { taskId: `p${port}t${i}`, nodeId: peer.nodeId, address, port: 80 };
          }),
        })),
      ],
    });
    const to = { host: '198.18.0.1', port: REAL_PORT };
    const first: Record<number, number[]> = { 1: [], [SERVICES]: [] };
    const updates: Record<number, { wall: number[]; user: number; system: number }> = {};
    const whole: Record<number, number> = {};
    const memory: number[] = [];
    const rebuilds: number[] = [];
    for (const count of [1, SERVICES]) {
      say(`changes among ${count} services of ${ENDPOINTS} endpoints`);
      await agent.apply(state(0, (await generation()) + 1));
      memory.push(await agent.rssBytes());
      // The state of these is a part of what the agent makes itself.
      const options = { peers, ports: count, endpoints: ENDPOINTS };
      await agent.measureUpdates({ ...options, rounds: 1 });
      const before = await agent.processorMs();
      const empty = await agent.measureUpdates({ ...options, rounds: 1 });
      const middle = await agent.processorMs();
      const wall = await agent.measureUpdates({ ...options, rounds: UPDATES + empty.length });
      const after = await agent.processorMs();
      const states = await agent.measureUpdates({ ...options, rounds: WHOLE, isWhole: true });
      whole[count] = median(states);
      updates[count] = {
        wall,
        user: (after.user - middle.user - (middle.user - before.user)) / UPDATES,
        system: (after.system - middle.system - (middle.system - before.system)) / UPDATES,
      };
    }
    say('first packets, in turns');
    for (let turn = 0; turn < 5; turn++) {
      for (const count of [1, SERVICES]) {
        await agent.apply(state(count, (await generation()) + 1));
        const times = await cluster.client.agent.measureConnects({ ...to, rounds: CONNECTS / 5 });
        first[count]!.push(...times);
      }
    }
    say('rebuilds under load');
    await cluster.client.agent.loadStart({ ...to, workers: 2 });
    for (let turn = 0; turn < 3; turn++) {
      // Another process takes over, knows nothing of what the kernel holds, and writes it all.
      await agent.close({ keep: true });
      const next = await cluster.successor(cluster.nodes[0]!);
      await next.agent.createMesh({ backend: 'nftables' });
      await next.agent.start(next.peer);
      ({ agent } = next);
      const begin = performance.now();
      await agent.apply(state(SERVICES, 1_000_000 + turn));
      rebuilds.push(performance.now() - begin);
    }
    const load = await cluster.client.agent.loadStop();
    const small = memory[0]!;
    await agent.apply(state(0, 2_000_000));
    await delay(SETTLE_MS);
    const later = await agent.rssBytes();
    const p99 = (times: readonly number[]) =>
      times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
    const many = updates[SERVICES]!;
    return {
      goals: [
        atMost('endpoint change among 5,000 services: kernel time', many.system, 'ms', 1),
        atMost('rebuild of 25,000 endpoints', median(rebuilds) / 1000, 's', 5),
        atMost('requests lost in rebuilds', load.errors.length, '', 0),
        atMost('memory after rebuild / before', later / small, 'ratio', 1.25),
        atMost(
          'first packet p99, 5,000 services / 1',
          p99(first[SERVICES]!) / p99(first[1]!),
          'ratio',
          1.2,
        ),
      ],
      figures: [
        {
          name: 'endpoint change among 5,000 services: whole apply, p50',
          value: median(many.wall),
          unit: 'ms',
        },
        { name: 'endpoint change among 5,000 services: own time', value: many.user, unit: 'ms' },
        {
          name: 'the same by a whole state: whole apply, p50',
          value: whole[SERVICES]!,
          unit: 'ms',
        },
        { name: 'endpoint change among 1: own time', value: updates[1]!.user, unit: 'ms' },
        { name: 'endpoint change among 1: kernel time', value: updates[1]!.system, unit: 'ms' },
        {
          name: 'endpoint change among 1: whole apply, p50',
          value: median(updates[1]!.wall),
          unit: 'ms',
        },
        { name: 'first packet p50, 1 service', value: median(first[1]!), unit: 'ms' },
        { name: 'first packet p50, 5,000 services', value: median(first[SERVICES]!), unit: 'ms' },
        { name: 'requests during rebuilds', value: load.ok, unit: '' },
        { name: 'mesh process before, after rebuild', value: later / 1e6, unit: 'MB' },
        { name: 'mesh process with nothing', value: small / 1e6, unit: 'MB' },
      ],
      notes: load.errors.slice(0, 3).map((error) => `lost in a rebuild: ${error}`),
    };
  } finally {
    await cluster.close();
  }
}
