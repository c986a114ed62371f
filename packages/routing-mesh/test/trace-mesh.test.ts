import type { MeshState, MeshTraceQuery } from '@swarm/api';
import test from 'ava';
import { rawPeer } from './support/checked.js';
import { TracedMesh } from './support/traced-mesh.js';

const OUTSIDE = '198.18.0.100';
const overlay = {
  networkId: 'net1',
  name: 'shop',
  subnets: ['10.0.1.0/24'],
  isInternal: false,
  isEncrypted: false,
};
const endpoint = (node: number) => ({
  ...{ taskId: `web${node}`, nodeId: `node${node}`, address: `10.240.${node}.2`, port: 80 },
});
const member = (node: number, number: number, serviceId: string, networkId = 'net1') => ({
  taskId: `m${number}`,
  nodeId: `node${node}`,
  serviceId,
  names: [],
  networks: [{ networkId, addresses: [`10.0.${networkId.slice(3)}.${number}`] }],
  serves: true,
});
const STATE: MeshState = {
  generation: 7,
  peers: [rawPeer(1), rawPeer(2)],
  ports: [
    { protocol: 'tcp', publishedPort: 8080, serviceId: 's', endpoints: [endpoint(1), endpoint(2)] },
    { protocol: 'tcp', publishedPort: 8081, serviceId: 'empty', endpoints: [] },
  ],
  services: [
    {
      serviceId: 'db',
      name: 'db',
      networks: [{ networkId: 'net1', vips: ['10.0.1.2'], aliases: [] }],
    },
  ],
  members: [
    member(1, 10, 'web'),
    member(1, 11, 'db'),
    member(2, 12, 'db'),
    member(2, 13, 'x', 'net2'),
  ],
};

async function traced(): Promise<
  (query: Partial<MeshTraceQuery>) => ReturnType<TracedMesh['mesh']['trace']>
> {
  const { mesh } = await TracedMesh.start();
  await mesh.apply(STATE);
  for (const number of [10, 11]) {
    await mesh.attach({
      taskId: `m${number}`,
      netns: '/run/netns/x',
      attachments: [{ networkId: 'net1', overlay, addresses: [`10.0.1.${number}/32`] }],
    });
  }
  await mesh.apply({ ...STATE, generation: 8 });
  return (query) =>
    mesh.trace(
      { from: OUTSIDE, to: '198.18.0.1', port: 8080, protocol: 'tcp', ...query },
      new Set(['198.18.0.1']),
    );
}

test('a published port shows each endpoint with its share and its node', async (t) => {
  const trace = await traced();
  const { Outcomes, ...rest } = await trace({});
  // The kernel of paper refuses nothing, so nothing shows that the rules are there.
  t.deepEqual(rest, {
    NodeID: 'node1',
    Backend: 'nftables',
    Generation: 8,
    TableAsWritten: false,
  });
  t.deepEqual(
    Outcomes.map(({ Fate, TaskID, NodeID, Probability, Source }) => ({
      ...{ Fate, TaskID, NodeID, Source },
      Probability: Math.round(Probability * 100),
    })).sort((a, b) => a.TaskID!.localeCompare(b.TaskID!)),
    [
      // No task of that address is attached here: nothing would answer.
      { Fate: 'unreachable', TaskID: 'web1', NodeID: 'node1', Source: OUTSIDE, Probability: 50 },
      { Fate: 'task', TaskID: 'web2', NodeID: 'node2', Source: OUTSIDE, Probability: 50 },
    ],
  );
  t.true(Outcomes[0]!.Rules.some((rule) => /^dispatch: .*@twelve goto/.test(rule)));
});

test('a port without tasks, and a task asked directly, say why nothing answers', async (t) => {
  const trace = await traced();
  const [closed] = (await trace({ port: 8081 })).Outcomes;
  t.is(closed!.Fate, 'rejected');
  t.is(closed!.Reason, 'the published port has no task that is ready (tcp reset)');
  const [direct] = (await trace({ to: '10.0.1.11' })).Outcomes;
  t.is(direct!.Fate, 'dropped');
  t.is(direct!.Reason, 'tasks are only reached through published ports');
  t.is((await trace({ port: 22 })).Outcomes[0]!.Fate, 'host');
  t.is((await trace({ to: '198.18.9.9' })).Outcomes[0]!.Fate, 'outside');
});

test('a virtual address leads a task to the members of its network', async (t) => {
  const trace = await traced();
  const { Outcomes } = await trace({ from: '10.0.1.10', to: '10.0.1.2', port: 5432 });
  t.deepEqual(
    Outcomes.map(({ Fate, TaskID, NodeID, Source }) => [Fate, TaskID, NodeID, Source]).sort(),
    [
      ['task', 'm11', 'node1', '10.0.1.10'],
      ['task', 'm12', 'node2', '10.0.1.10'],
    ],
  );
});

test('what cannot be answered says what to do', async (t) => {
  const trace = await traced();
  await t.throwsAsync(trace({ from: '10.0.1.12' }), { message: /on node node2: ask there/ });
  await t.throwsAsync(trace({ to: 'fd00::1' }), { message: /not of one IP version/ });
  await t.throwsAsync(trace({ to: 'nowhere' }), { message: /not an IP address/ });
});
