import { filled, type MeshDelta, meshPortKey, type MeshState } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { MeshBook } from '../src/agent/mesh-book.js';

const PORTS = [80, 81, 82, 83];

/** What a cluster may be: endpoints by port, and tasks. */
const content = fc.record({
  ports: fc.dictionary(fc.constantFrom(...PORTS.map(String)), fc.nat({ max: 2 }), { maxKeys: 4 }),
  members: fc.dictionary(fc.constantFrom('t1', 't2', 't3'), fc.boolean(), { maxKeys: 3 }),
  peers: fc.uniqueArray(fc.constantFrom(1, 2, 3)),
  ingress: fc.constantFrom(undefined, '10.11.0.0/16', '10.12.0.0/16'),
});
type Content = typeof content extends fc.Arbitrary<infer T> ? T : never;

function stateOf({ ports, members, peers, ingress }: Content, generation: number): MeshState {
  return {
    generation,
    ...(ingress && { ingress: { subnet: ingress } }),
    peers: peers.map((index) => ({
      ...{ nodeId: `node${index}`, index, address: `198.18.0.${index}` },
      subnet: `10.240.${index}.0/24`,
    })),
    ports: Object.entries(ports).map(([port, count]) => ({
      ...({ protocol: 'tcp', publishedPort: Number(port), serviceId: 's' } as const),
      endpoints: Array.from({ length: count }, (_, i) => ({
        ...{ taskId: `e${i}`, nodeId: 'node1', address: `10.240.1.${i + 2}`, port: 80 },
      })),
    })),
    ...filled({
      members: Object.entries(members).map(([taskId, serves]) => ({
        ...{ taskId, nodeId: 'node1', serviceId: 's', names: [], networks: [], serves },
      })),
    }),
  };
}

function deltaOf(before: MeshState, after: MeshState): MeshDelta {
  const gone = <T>(
    from: readonly T[] = [],
    to: readonly T[] = [],
    keyOf: (one: T) => string,
  ): readonly T[] => from.filter((one) => !to.some((other) => keyOf(other) === keyOf(one)));
  const fresh = <T>(from: readonly T[] = [], to: readonly T[] = []): readonly T[] =>
    to.filter((one) => !from.some((other) => JSON.stringify(other) === JSON.stringify(one)));
  return {
    ...{ base: before.generation, generation: after.generation },
    ...(after.ingress && { ingress: after.ingress }),
    peers: fresh(before.peers, after.peers),
    removedPeers: gone(before.peers, after.peers, ({ nodeId }) => nodeId).map((p) => p.nodeId),
    ports: fresh(before.ports, after.ports),
    removedPorts: gone(before.ports, after.ports, meshPortKey),
    ...filled({
      members: fresh(before.members, after.members),
      removedMembers: gone(before.members, after.members, ({ taskId }) => taskId).map(
        ({ taskId }) => taskId,
      ),
    }),
  };
}

/** A kernel that takes deltas as a mesh does. */
class Kernel {
  readonly #book = new MeshBook();
  /** Of the last state that it holds; 0 after a failure. */
  generation = 0;

  apply(state: MeshState): void {
    this.#book.replace(state);
    this.generation = state.generation;
  }

  change(delta: MeshDelta): boolean {
    if (delta.base !== this.generation || delta.base === 0) return false;
    this.#book.change(delta);
    this.generation = delta.generation;
    return true;
  }

  get content() {
    return sorted(this.#book.whole());
  }
}

function sorted({ generation, ingress, peers, ports, members = [] }: MeshState) {
  const texts = (list: readonly unknown[]) => list.map((one) => JSON.stringify(one)).sort();
  return {
    ...{ generation, ingress, peers: texts(peers) },
    ...{ ports: texts(ports), members: texts(members) },
  };
}

const news = fc.record({
  kind: fc.constant('news' as const),
  content,
  from: fc.constantFrom('known', 'held'),
});
const hold = fc.record({
  kind: fc.constant('hold' as const),
  fails: fc.integer({ max: 7, min: 0 }).map((chance) => chance === 0),
  meanwhile: fc.option(content),
});
const whole = fc.record({ kind: fc.constant('whole' as const), content });
const step = fc.oneof(
  { weight: 4, arbitrary: news },
  { weight: 4, arbitrary: hold },
  { weight: 1, arbitrary: whole },
);

test('whatever comes, and whatever fails, the kernel gets what managers said last', (t) => {
  let deltas = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const book = new MeshBook();
      const kernel = new Kernel();
      const states = new Map<number, MeshState>([
        [0, stateOf({ ports: {}, members: {}, peers: [], ingress: undefined }, 0)],
      ]);
      let newest = 0;
      const tell = (what: Content, base: number): void => {
        const state = stateOf(what, newest + 1);
        const changes = book.change(deltaOf(states.get(base)!, state));
        if (changes === undefined) {
          t.is(book.held, 0, 'the next hello names nothing');
          book.replace(state);
        }
        newest += 1;
        states.set(newest, state);
        t.deepEqual(sorted(book.whole()), sorted(state));
      };
      for (const each of steps) {
        if (each.kind === 'news') tell(each.content, each.from === 'held' ? book.held : newest);
        else if (each.kind === 'whole') {
          newest += 1;
          states.set(newest, stateOf(each.content, newest));
          book.replace(states.get(newest)!);
        } else if (book.isAhead) {
          const { delta } = book.take();
          if (each.meanwhile !== null) tell(each.meanwhile, newest);
          if (each.fails) {
            kernel.generation = 0;
            book.fail();
            continue;
          }
          if (delta !== undefined && kernel.change(delta)) deltas += 1;
          else kernel.apply(book.takeWhole());
          book.hold();
          t.is(book.held, kernel.generation);
          t.deepEqual(kernel.content, sorted(states.get(kernel.generation)!));
        }
      }
    }),
    { numRuns: 1000 },
  );
  t.true(deltas > 100, `${deltas} steps by delta`);
});

test('what arrives while the kernel is told is the next delta', (t) => {
  const book = new MeshBook();
  const none = { ports: {}, members: {}, peers: [], ingress: undefined };
  const [first, second, third] = [0, 1, 2].map((count, i) =>
    stateOf({ ...none, ports: { '80': count } }, i + 1),
  );
  book.replace(first!);
  t.is(book.take().delta, undefined, 'the first is whole');
  book.hold();
  book.change(deltaOf(first!, second!));
  t.like(book.take().delta, { base: 1, generation: 2 });
  book.change(deltaOf(second!, third!));
  book.hold();
  t.is(book.held, 2);
  t.like(book.take().delta, { base: 2, generation: 3, ports: third!.ports });
});
