import type { MeshPort, MeshState, MeshTraceQuery } from '@swarm/api';
import test from 'ava';
import { rawPeer } from './support/checked.js';
import { PaperIpvs } from './support/paper-ipvs.js';
import { TracedMesh } from './support/traced-mesh.js';

const OUTSIDE = '198.18.0.100';
const endpoint = (node: number, weight: number) => ({
  ...{ taskId: `web${node}`, nodeId: `node${node}`, address: `10.240.${node}.2`, port: 80 },
  weight,
});
const state = (generation: number, ports: readonly Partial<MeshPort>[]): MeshState => ({
  generation,
  peers: [rawPeer(1), rawPeer(2), { ...rawPeer(3), userspace: true }],
  ports: ports.map((port) => ({
    ...{ protocol: 'tcp', publishedPort: 8080, serviceId: 's', endpoints: [], ...port },
  })),
});

async function traced(ports: readonly Partial<MeshPort>[]) {
  const paper = new PaperIpvs();
  const traced = await TracedMesh.start(undefined, paper);
  const { mesh } = traced;
  await mesh.attach({
    taskId: 'web1',
    netns: '/run/netns/x',
    attachments: [{ networkId: 'ingress', addresses: ['10.240.1.2/32'] }],
  });
  await mesh.apply(state(1, ports));
  const ask = async (query: Partial<MeshTraceQuery> = {}) => {
    const asked = { from: OUTSIDE, to: '198.18.0.1', port: 8080, protocol: 'tcp' as const };
    return (await mesh.trace({ ...asked, ...query }, new Set(['198.18.0.1']))).Outcomes;
  };
  return { paper, mesh, ask, traced };
}

test('a marked connection goes to endpoints by their weights, with the address of the client', async (t) => {
  const { mesh, ask } = await traced([{ endpoints: [endpoint(1, 1), endpoint(2, 3)] }]);
  t.is(mesh.backend, 'ipvs');
  const outcomes = await ask();
  t.deepEqual(
    outcomes.map(({ Probability, Fate, TaskID, NodeID, Address, Port, Source }) => ({
      ...{ Probability, Fate, TaskID, NodeID, Address, Port, Source },
    })),
    [
      { Probability: 0.75, Fate: 'task', ...place(2), Source: OUTSIDE },
      { Probability: 0.25, Fate: 'task', ...place(1), Source: OUTSIDE },
    ],
  );
  const rules = outcomes[0]!.Rules.join('\n');
  t.regex(rules, /dispatch: .*map @ipvs_ports goto lead/);
  t.regex(rules, /IPVS: service of mark 0x41f90, scheduler wrr/);
  t.regex(rules, /origin_local: .*meta mark set 0/, 'the mark is gone before others see it');
});

function place(node: number) {
  return { TaskID: `web${node}`, NodeID: `node${node}`, Address: `10.240.${node}.2`, Port: 80 };
}

test('this node’s own clients are led too', async (t) => {
  const { ask } = await traced([{ endpoints: [endpoint(2, 1)] }]);
  for (const from of ['198.18.0.1', '10.240.1.1'])
    t.like(await ask({ from }), [{ Probability: 1, Fate: 'task', ...place(2) }]);
});

test('a port without endpoints refuses, and one that is not published is the host’s', async (t) => {
  const { ask, mesh } = await traced([{}]);
  t.like(await ask(), [{ Fate: 'rejected' }]);
  t.like(await ask({ protocol: 'udp' }), [{ Fate: 'host' }]);
  await mesh.apply(state(2, [{ endpoints: [endpoint(1, 1)] }]));
  t.like(await ask(), [{ Fate: 'task' }]);
  await mesh.apply(state(3, []));
  t.like(await ask(), [{ Fate: 'host' }]);
});

test('an endpoint of a userspace node sees this node as its client', async (t) => {
  const { address } = rawPeer(3);
  const { ask } = await traced([
    { endpoints: [{ taskId: 'far', nodeId: 'node3', address, port: 20_001 }] },
  ]);
  t.like(await ask(), [{ Address: address, Port: 20_001, Source: '198.18.0.1' }]);
});

test('a port at one address is nobody’s at others', async (t) => {
  const { ask } = await traced([{ endpoints: [endpoint(1, 1)], hostIp: '198.18.0.7' }]);
  t.like(await ask(), [{ Fate: 'host' }]);
});

test('a generation is held only when the kernel holds it', async (t) => {
  const { mesh, paper } = await traced([{ endpoints: [endpoint(1, 1)] }]);
  t.is(mesh.generation, 1);
  paper.refuses = 12;
  const next = state(2, [{ endpoints: [endpoint(1, 1), endpoint(2, 1)] }]);
  await t.throwsAsync(mesh.apply(next), { message: /error 12/ });
  t.not(mesh.generation, 2);
  paper.refuses = 0;
  await mesh.apply(next);
  t.is(mesh.generation, 2);
});

test('close leaves nothing of ours, or everything', async (t) => {
  const one = await traced([{ endpoints: [endpoint(1, 1)] }]);
  t.deepEqual(one.paper.limits, [432_000, 432_000, 300]);
  t.true(one.traced.whole.includes('ipvs_before { 1 : 0, 2 : 0, 3 : 1, 4 : 900, 5 : 120 }'));
  await one.mesh.close({ keep: false });
  t.deepEqual([one.paper.services.size, one.paper.limits], [0, [900, 120, 300]]);
  const other = await traced([{ endpoints: [endpoint(1, 1)] }]);
  await other.mesh.close({ keep: true });
  t.deepEqual([other.paper.services.size, other.paper.limits], [1, [432_000, 432_000, 300]]);
});
