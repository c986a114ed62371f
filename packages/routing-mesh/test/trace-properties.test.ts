import type { IpAddress, MeshState, PortProtocol } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { NftRuleset, type TraceOutcome, UnknownNftTextError } from '../src/trace/index.js';
import { parseRule } from '../src/trace/rule-parser.js';
import { covers } from '../src/trace/values.js';
import { rawPeer } from './support/checked.js';
import { PORTS, randomState } from './support/random-states.js';
import { stateDelta } from './support/state-delta.js';
import { firstPacket, HERE, TracedMesh } from './support/traced-mesh.js';

const PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp'];
const HOST_PORT = 9000;

type Step =
  | {
      readonly kind: 'state';
      readonly state: Omit<MeshState, 'generation'>;
      /** The nodes are those of the state before. */
      readonly keepsPeers: boolean;
    }
  | { readonly kind: 'attach' | 'detach'; readonly task: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('state' as const),
      state: randomState,
      keepsPeers: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constantFrom('attach', 'detach'), task: fc.nat({ max: 2 }) }),
);

/** What packets must find, by the last state and the tasks attached. */
interface Wanted {
  readonly state: Omit<MeshState, 'generation'>;
  readonly attached: ReadonlySet<number>;
}

/** Addresses and ports that a published port may lead to; undefined where the kernel leads nowhere. */
function wantedEndpoints({ state }: Wanted, protocol: PortProtocol, published: number) {
  const port = state.ports.find(
    (each) => each.protocol === protocol && each.publishedPort === published,
  );
  // With the PROXY protocol, a proxy of the host serves it.
  if (port === undefined || port.proxyProtocol !== undefined) return undefined;
  const nodes = new Set(state.peers.map(({ nodeId }) => nodeId));
  return port.endpoints
    .filter(({ nodeId }) => nodes.has(nodeId))
    .map((endpoint) => `${endpoint.address}:${endpoint.port}`);
}

const led = ({ dnat }: TraceOutcome): string => `${dnat?.address}:${dnat?.port}`;

/** Where a client's connection comes from, and which of the tracer's packets that makes. */
const CLIENTS = {
  outside: {},
  'a task here': { inInterface: 'swt1', source: '10.240.1.7' as IpAddress },
  'this node': { inInterface: HERE, source: '198.18.0.1' as IpAddress },
  'node 2': { source: '198.18.0.2' as IpAddress },
} as const;

function checkWorld(t: ExecutionContext, traced: TracedMesh, wanted: Wanted): void {
  const tracer = traced.tracer();
  for (const [client, from] of Object.entries(CLIENTS)) {
    for (const protocol of PROTOCOLS) {
      for (const published of PORTS) {
        const packet = firstPacket({ protocol, destinationPort: published, ...from });
        const outcomes = tracer.trace(packet);
        const what = `${client} ${protocol}/${published}`;
        const sum = outcomes.reduce((total, { probability }) => total + probability, 0);
        t.true(Math.abs(sum - 1) < 1e-9, `${what}: probabilities add up to ${sum}`);
        const endpoints = wantedEndpoints(wanted, protocol, published);
        if (endpoints === undefined) {
          t.deepEqual(
            outcomes.map(({ fate }) => fate.kind),
            ['local'],
            `${what} is the host's`,
          );
          t.is(outcomes[0]!.dnat, undefined, what);
        } else if (endpoints.length === 0) {
          t.deepEqual(
            outcomes.map(({ fate }) => fate),
            [
              {
                kind: 'rejected',
                answer: protocol === 'tcp' ? 'tcp reset' : 'icmp port-unreachable',
              },
            ],
            what,
          );
        } else {
          t.deepEqual(outcomes.map(led).sort(), [...endpoints].sort(), what);
          for (const outcome of outcomes) {
            t.is(outcome.fate.kind, 'sent', what);
            // Slots are shared by whole numbers of 60, or 840 for many.
            const slots = endpoints.length <= 30 ? 60 : 840;
            const share = outcome.probability * slots;
            const fair = slots / endpoints.length;
            const isFair = share > Math.floor(fair) - 1e-6 && share < Math.ceil(fair) + 1e-6;
            t.true(isFair, `${what}: ${led(outcome)} has ${share} of ${slots} slots`);
            t.is(outcome.timeout, protocol === 'tcp' ? 'drawn' : undefined, what);
            checkSource(t, outcome, client);
          }
        }
      }
    }
  }
  checkHostPorts(t, traced, wanted);
  checkStrangers(t, traced);
}

/** The client's address stays, except where the reply would end in the task or the node itself. */
function checkSource(t: ExecutionContext, outcome: TraceOutcome, client: string): void {
  const { dnat, snat } = outcome;
  const mustChange =
    (client === 'a task here' && dnat?.address === '10.240.1.7') ||
    (client === 'this node' && covers('10.240.1.0/24', dnat!.address)) ||
    (client === 'node 2' && covers('10.240.2.0/24', dnat!.address));
  t.is(snat, mustChange ? ('10.240.1.1' as IpAddress) : undefined, `${client} to ${led(outcome)}`);
}

function checkHostPorts(t: ExecutionContext, traced: TracedMesh, { attached }: Wanted): void {
  for (const task of [0, 1, 2]) {
    const packet = firstPacket({ protocol: 'tcp', destinationPort: HOST_PORT + task });
    const outcomes = traced.tracer().trace(packet);
    t.deepEqual(
      outcomes.map(({ fate, dnat }) => [fate.kind, dnat?.address]),
      attached.has(task) ? [['sent', `10.240.1.${100 + task}`]] : [['local', undefined]],
      `host port ${HOST_PORT + task}`,
    );
  }
}

/** Nothing of others changes; nothing unasked gets in. */
function checkStrangers(t: ExecutionContext, traced: TracedMesh): void {
  const tracer = traced.tracer();
  const passing = { protocol: 'tcp', destinationPort: 8080 } as const;
  const through = firstPacket({ ...passing, destination: '198.18.9.9' as IpAddress });
  const [passed, ...more] = tracer.trace(through);
  t.is(more.length, 0);
  t.deepEqual(passed!.packet, { ...through, outInterface: 'eth0' }, 'a stranger passes unchanged');
  const direct = firstPacket({ ...passing, destination: '10.240.1.2' as IpAddress });
  t.deepEqual(
    tracer.trace(direct).map(({ fate }) => fate.kind),
    ['dropped'],
    'to a task directly',
  );
  const vxlan = { protocol: 'udp', destinationPort: 4789, vxlanNetwork: 4096 } as const;
  const forged = firstPacket({ ...vxlan, source: '198.18.0.99' as IpAddress });
  t.deepEqual(
    tracer.trace(forged).map(({ fate }) => fate.kind),
    ['dropped'],
    'a forged tunnel packet',
  );
}

/** Ids differ with the order in which ports came; how many elements there are does not. */
function counts(traced: TracedMesh): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(traced.elements()).map(([set, elements]) => [set, elements.length]),
  );
}

test('every packet goes to a current endpoint or is refused, after any history', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
      const traced = await TracedMesh.start();
      const whole = await TracedMesh.start();
      const changed = await TracedMesh.start();
      let told: MeshState = { generation: 0, peers: [], ports: [] };
      let wanted: Wanted = { state: { peers: [], ports: [] }, attached: new Set() };
      let generation = 0;
      for (const each of steps) {
        generation++;
        if (each.kind === 'state') {
          const { peers } = each.keepsPeers ? wanted.state : each.state;
          wanted = { ...wanted, state: { ...each.state, peers } };
        }
        for (const { mesh } of [traced, whole, changed]) {
          // One writes whole tables, one changes, and one hears of no more than what changed.
          whole.refusesChanges = mesh === whole.mesh;
          if (each.kind === 'state') {
            const state = { ...wanted.state, generation };
            const delta = stateDelta(told, state);
            if (mesh !== changed.mesh || !(await mesh.change(delta))) await mesh.apply(state);
            told = mesh === changed.mesh ? state : told;
          } else if (each.kind === 'detach') await mesh.detach(`task${each.task}`);
          else {
            await mesh.attach({
              taskId: `task${each.task}`,
              netns: '/run/netns/x',
              attachments: [{ networkId: 'net', addresses: [`10.240.1.${100 + each.task}/32`] }],
              hostPorts: [
                { protocol: 'tcp', publishedPort: HOST_PORT + each.task, targetPort: 80 },
              ],
            });
          }
        }
        if (each.kind !== 'state') {
          const attached = new Set(wanted.attached);
          if (each.kind === 'attach') attached.add(each.task);
          else attached.delete(each.task);
          wanted = { ...wanted, attached };
        }
        checkWorld(t, traced, wanted);
        checkWorld(t, changed, wanted);
      }
      t.deepEqual(traced.elements(), whole.elements(), 'changes lead to what a whole write does');
      t.deepEqual(counts(changed), counts(traced), 'what changed leads to as many elements');
      await Promise.all([traced, whole, changed].map(({ mesh }) => mesh.close({ keep: false })));
      t.deepEqual(traced.ruleset.tables, [], 'nothing is left');
    }),
    { numRuns: 60 },
  );
});

test('a suspected endpoint is drawn again, and only taken when luck has it five times', async (t) => {
  const traced = await TracedMesh.start();
  const endpoints = [1, 2].map((index) => ({
    ...{ taskId: `t${index}`, nodeId: `node${index}`, address: `10.240.${index}.2`, port: 80 },
  }));
  await traced.mesh.apply({
    generation: 1,
    peers: [rawPeer(1), rawPeer(2)],
    ports: [{ protocol: 'tcp', publishedPort: 8080, serviceId: 's', endpoints }],
  });
  const packet = firstPacket({ protocol: 'tcp', destinationPort: 8080 });
  const outcomes = traced.tracer().trace(packet);
  t.deepEqual(
    outcomes.map(({ probability }) => Math.round(probability * 1e6) / 1e6),
    [0.5, 0.5],
  );
  const suspect = outcomes[0]!;
  traced.ruleset.table('ip', 'swarm_mesh').set('suspects').add(String(suspect.packet.flow.mark));
  const [first, second] = traced.tracer().trace(packet);
  t.is(led(second!), led(suspect));
  t.true(Math.abs(second!.probability - 1 / 32) < 1e-9);
  t.true(Math.abs(first!.probability - 31 / 32) < 1e-9);
});

test('what the tracer does not know is an error, not a guess', (t) => {
  const unknown = { instanceOf: UnknownNftTextError };
  for (const rule of [
    'ip ttl 1 drop',
    'iifname "eth0" queue',
    'ct helper set "ftp"',
    'meta mark set meta mark | 1',
    'reject with icmp host-prohibited',
    'tcp dport 80 redirect to 81',
    'meta mark set numgen inc mod 2',
  ])
    t.throws(() => parseRule(rule), unknown, rule);
  const table = (body: string) => () =>
    new NftRuleset().apply(`table ip swarm_mesh {\n${body}\n}\n`);
  t.throws(table('  quota q { over 1 mbytes; }'), unknown);
  t.throws(table('  set s { type uid; }'), unknown);
  t.throws(table('  chain c {\n    jump nowhere\n  }'), unknown);
  t.throws(table('  chain c {\n    ip saddr @nothing drop\n  }'), unknown);
  t.throws(
    table('  set s { type inet_service; }\n  chain c {\n    ip saddr @s drop\n  }'),
    unknown,
  );
  t.throws(() => new NftRuleset().apply('insert rule ip swarm_mesh c drop\n'), unknown);
  t.throws(table('  chain c {\n    type filter hook input priority 0; policy drop;\n  }'), unknown);
});

test('elements are refused as the kernel would refuse them', (t) => {
  const ruleset = new NftRuleset();
  ruleset.apply(
    'table ip x {\n  map m { type mark : mark; }\n  set i { type ipv4_addr; flags interval; }\n}\n',
  );
  ruleset.apply('add element ip x m { 1 : 2 }\n');
  t.throws(() => ruleset.apply('add element ip x m { 1 : 3 }\n'), { message: /there already/ });
  t.throws(() => ruleset.apply('delete element ip x m { 7 }\n'), { message: /there is no 7/ });
  ruleset.apply('add element ip x i { 10.0.0.0/8 }\n');
  t.throws(() => ruleset.apply('add element ip x i { 10.1.0.0/16 }\n'), { message: /overlaps/ });
});
