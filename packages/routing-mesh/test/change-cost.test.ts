import type { MeshDelta, MeshPort, MeshState } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { rawPeer } from './support/checked.js';
import { iterationSteps } from './support/iteration-steps.js';
import { noSockets, TracedMesh } from './support/traced-mesh.js';

const FEW = 20;
const MANY = 2000;
const NODES = [1, 2, 3];

const endpoint = (service: number, i: number) => ({
  taskId: `s${service}t${i}`,
  nodeId: `node${NODES[i % NODES.length]}`,
  address: `10.240.${NODES[i % NODES.length]}.${10 + i}`,
  port: 80,
});
const port = (service: number, endpoints = 5): MeshPort => ({
  ...{ protocol: 'tcp', publishedPort: 10_000 + service, serviceId: `s${service}` },
  endpoints: Array.from({ length: endpoints }, (_, i) => endpoint(service, i)),
});
const at = (number: number) => `10.8.${number >> 8}.${number & 255}`;
/** Each service has its network but the first ten, which share one. */
const networkOf = (service: number) => (service < 10 ? 'net0' : `net${service}`);
const service = (number: number, name = `service${number}`) => ({
  ...{ serviceId: `s${number}`, name },
  networks: [{ networkId: networkOf(number), vips: [at(number + 300)], aliases: [] }],
});
const member = (number: number, i: number, serves = true) => ({
  ...{ taskId: `s${number}t${i}`, nodeId: `node${2 + (i % 2)}`, serviceId: `s${number}` },
  ...{ names: [], serves },
  networks: [{ networkId: networkOf(number), addresses: [at(4096 + number * 5 + i)] }],
});

function state(services: number): MeshState {
  const each = Array.from({ length: services }, (_, i) => i);
  return {
    generation: 1,
    peers: NODES.map(rawPeer),
    ports: each.map((one) => port(one)),
    services: each.map((one) => service(one)),
    members: each.flatMap((one) => [0, 1, 2].map((i) => member(one, i))),
  };
}

const nothing = { peers: [], removedPeers: [], ports: [], removedPorts: [] };
const CHANGES: Readonly<Record<string, Partial<MeshDelta>>> = {
  'an endpoint goes': { ports: [port(3, 4)] },
  'an endpoint comes': { ports: [port(3, 5)] },
  'a port goes': { removedPorts: [{ protocol: 'tcp', publishedPort: 10_003 }] },
  'a port comes': { ports: [port(3)] },
  'a task of a virtual address stops serving': { members: [member(3, 0, false)] },
  'a task goes': { removedMembers: ['s3t1'] },
  'a task comes': { members: [member(3, 1)] },
  'a service has another name': { services: [service(3, 'renamed')] },
  'a service goes': { removedServices: ['s3'] },
  'a service comes': { services: [service(3)] },
};

interface Cost {
  readonly steps: number;
  /** Characters of its transactions. */
  readonly written: number;
}

/** What each change costs a node with this many services, of which it has a task on the network of ten. */
async function costs(t: ExecutionContext, services: number): Promise<Map<string, Cost>> {
  const { mesh, transactions } = await TracedMesh.start({
    ...noSockets,
    listen: async () => ({ close() {} }),
  });
  const overlay = {
    ...{ networkId: 'net0', name: 'net0', subnets: ['10.8.0.0/16'] },
    ...{ isInternal: false, isEncrypted: false },
  };
  await mesh.attach({
    taskId: 'own0',
    netns: '/run/netns/x',
    attachments: [{ networkId: 'net0', overlay, addresses: [`${at(200)}/32`] }],
  });
  await mesh.apply(state(services));
  const found = new Map<string, Cost>();
  let generation = 1;
  for (const [what, change] of Object.entries(CHANGES)) {
    const before = transactions.length;
    const delta = { ...nothing, ...change, base: generation, generation: generation + 1 };
    generation += 1;
    const steps = await iterationSteps(async () => t.true(await mesh.change(delta), what));
    const written = transactions.slice(before).join('').length;
    found.set(what, { steps, written });
  }
  await mesh.close({ keep: false });
  return found;
}

test.serial('what a change costs does not depend on what else there is', async (t) => {
  const few = await costs(t, FEW);
  const many = await costs(t, MANY);
  for (const [what, cost] of few) {
    t.true(cost.steps > 0, `${what}: nothing was counted`);
    t.is(many.get(what)!.steps, cost.steps, `${what}: elements looked at`);
    // Numbers of more digits.
    t.true(many.get(what)!.written <= cost.written * 1.2, `${what}: characters written`);
  }
});
