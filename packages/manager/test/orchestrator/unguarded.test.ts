import { type Node, RUNTIME_CAPABILITIES, SECOND } from '@swarm/api';
import test from 'ava';
import { ingressDraft, nodeDraft, put } from '../support/objects.js';
import { OrchestratorWorld } from './world.js';

const HOST_PORT = {
  Protocol: 'tcp',
  TargetPort: 80,
  PublishedPort: 8080,
  PublishMode: 'host',
} as const;

const PLAIN = RUNTIME_CAPABILITIES.filter((word) => !word.startsWith('network'));

const node = (id: string, index: number, ...words: string[]): Partial<Node> & { ID: string } =>
  nodeDraft(id, {
    Mesh: { Index: index, Address: `198.18.0.${index}`, Subnet: `10.240.${index}.0/24` },
    Description: { ...nodeDraft(id).Description!, RuntimeCapabilities: words },
  });

async function world(isGlobal: boolean, Order: 'stop-first' | 'start-first') {
  const made = new OrchestratorWorld();
  made.schedules = true;
  await put(made.store, 'network', ingressDraft());
  await put(made.store, 'node', node('kernel', 1, ...RUNTIME_CAPABILITIES) as never);
  await put(made.store, 'node', node('plain', 2, ...PLAIN) as never);
  await made.service({
    Mode: isGlobal ? { Global: {} } : { Replicated: { Replicas: 2 } },
    TaskTemplate: { ContainerSpec: { Image: 'v1' }, ForceUpdate: 0 },
    UpdateConfig: { Parallelism: 1, Order, Monitor: SECOND },
    EndpointSpec: { Ports: [HOST_PORT] },
  });
  made.ports = [HOST_PORT];
  await made.start();
  await made.clock.advance(1000);
  return made;
}

for (const isGlobal of [false, true]) {
  for (const Order of ['stop-first', 'start-first'] as const) {
    const kind = isGlobal ? 'global' : 'replicated';
    test(`${kind}, ${Order}: rules stop a task with a host port where nobody enforces them, and no other`, async (t) => {
      const made = await world(isGlobal, Order);
      const on = (id: string) => made.live().filter(({ NodeID }) => NodeID === id);
      const [kept] = on('kernel');
      t.is(on('plain').filter(({ Status }) => Status.State === 'running').length, 1);
      await made.update((spec) => ({
        ...spec,
        EndpointSpec: { ...spec.EndpointSpec, Allow: [{ From: 'web' }] },
      }));
      await made.clock.advance(30_000);
      t.deepEqual(
        on('plain').filter(({ Status }) => Status.State === 'running'),
        [],
      );
      t.deepEqual(
        on('kernel').map(({ ID }) => ID),
        [kept?.ID],
        'it is guarded where it is',
      );
      const waiting = made.live().find(({ Status }) => Status.State === 'pending');
      t.regex(waiting?.Status.Err ?? '', /enforce who may connect to it \(Allow\)|host-mode port/);
    });
  }
}
