import type { ManagerMessage, MeshDelta } from '@swarm/api';
import test from 'ava';
import { MalformedMessage } from '../../src/dispatcher/codec.js';
import { MESH_INFLIGHT_LIMIT } from '../../src/dispatcher/limits.js';
import { MeshDelivery, type MeshReceiver } from '../../src/dispatcher/mesh-delivery.js';

/** A session that keeps the deltas that it is sent, as `base-generation`. */
class Receiver implements MeshReceiver {
  readonly nodeId: string;
  readonly peer: { readonly protocol: number };
  isWelcome = true;
  meshSent = 0;
  meshInflight: number[] = [];
  meshAcked = 0;
  readonly sent: string[] = [];

  constructor(nodeId: string, protocol = 2) {
    this.nodeId = nodeId;
    this.peer = { protocol };
  }

  isMeshUnderWay = false;
  /** Set, the socket has not taken the last frame yet. */
  blocked: (() => void) | undefined;
  isSlow = false;

  sendFrames([first, ...rest]: readonly Buffer[], done: () => void): void {
    this.sent.push(first!.toString());
    const next = () => (rest.length === 0 ? done() : this.sendFrames(rest, done));
    if (this.isSlow) this.blocked = next;
    else next();
  }
}

/** A delivery to these receivers, and how often something changed and was encoded. */
function delivery(...receivers: Receiver[]) {
  /** Peers that a delta names: many do not fit into one frame. */
  const size = { peers: 0 };
  const counts = { changed: 0, encoded: 0 };
  let generation = 1;
  const made = new MeshDelivery({
    codec: {
      encode(message: ManagerMessage) {
        const { delta } = message as { delta: MeshDelta };
        counts.encoded += 1;
        return Buffer.from(`${delta.base}-${delta.generation}`);
      },
    },
    mesh: {
      get generation() {
        return generation;
      },
      deltaFrom: (base) => ({
        base,
        generation,
        peers: Array.from({ length: size.peers }, (_, at) => ({
          ...{ nodeId: `n${at}`, index: at + 1, address: '198.18.0.1', subnet: '10.0.0.0/24' },
        })),
        removedPeers: [],
        ports: [],
        removedPorts: [],
      }),
    },
    sessions: new Map(receivers.map((each) => [each.nodeId, each])),
    changed: () => {
      counts.changed += 1;
    },
  });
  const publish = (next: number) => {
    generation = next;
    made.publish();
  };
  return { made, counts, publish, size };
}

test('an agent gets its first mesh even if it lacks nothing, then what differs', (t) => {
  const one = new Receiver('one');
  const { made, publish } = delivery(one);
  made.register(one, 1);
  made.begin(one);
  publish(1);
  publish(2);
  t.deepEqual(one.sent, ['1-1', '1-2']);
});

test('an agent whose generation this cluster never had starts from nothing', (t) => {
  const one = new Receiver('one');
  const { made } = delivery(one);
  made.register(one, 7);
  made.begin(one);
  t.deepEqual(one.sent, ['0-1']);
  t.deepEqual(made.behind(1), ['one']);
});

test('nothing is sent before the welcome, and the agent counts as behind', (t) => {
  const one = new Receiver('one');
  one.isWelcome = false;
  const { made, publish } = delivery(one);
  publish(2);
  t.deepEqual(one.sent, []);
  t.deepEqual(made.behind(2), ['one']);
});

test('sessions that need the same delta share its frame, unless their protocols differ', (t) => {
  const receivers = [new Receiver('one'), new Receiver('two'), new Receiver('old', 1)];
  const { counts, publish } = delivery(...receivers);
  publish(2);
  t.is(counts.encoded, 2);
  for (const { sent } of receivers) t.deepEqual(sent, ['0-2']);
});

test('an agent that acknowledges nothing gets one delta with all that it missed once it does', (t) => {
  const one = new Receiver('one');
  const { made, publish } = delivery(one);
  const last = MESH_INFLIGHT_LIMIT + 5;
  for (let generation = 1; generation <= last; generation++) publish(generation);
  t.is(one.sent.length, MESH_INFLIGHT_LIMIT);
  made.acknowledge(one, 2);
  t.is(one.sent.at(-1), `${MESH_INFLIGHT_LIMIT}-${last}`);
  t.is(one.meshInflight.length, MESH_INFLIGHT_LIMIT - 1);
});

test('an acknowledgement covers all before it, and is reported once', (t) => {
  const [one, two] = [new Receiver('one'), new Receiver('two')];
  const { made, counts, publish } = delivery(one, two);
  publish(2);
  publish(3);
  counts.changed = 0;
  made.acknowledge(one, 3);
  t.deepEqual(made.behind(3), ['two']);
  made.acknowledge(one, 2);
  made.acknowledge(one, 3);
  t.is(counts.changed, 1);
  t.deepEqual(made.behind(3), ['two']);
});

test('an agent that acknowledges what it was not sent breaks the contract', (t) => {
  const one = new Receiver('one');
  const { made, publish } = delivery(one);
  publish(2);
  t.throws(() => made.acknowledge(one, 3), { instanceOf: MalformedMessage });
  t.deepEqual(made.behind(2), ['one']);
});

test('pieces follow as the socket takes them, and what changes meanwhile comes after the last', (t) => {
  const one = new Receiver('one');
  one.isSlow = true;
  const { made, publish, size } = delivery(one);
  size.peers = 3_000;
  publish(2);
  t.deepEqual(one.sent, ['0-2']);
  size.peers = 0;
  publish(3);
  publish(4);
  t.deepEqual(one.sent, ['0-2'], 'back-pressure');
  while (one.blocked !== undefined && one.sent.length < 10) {
    const next = one.blocked;
    one.blocked = undefined;
    next();
  }
  t.deepEqual(one.sent, ['0-2', '2-2', '2-2', '2-4']);
  t.notThrows(() => made.acknowledge(one, 2));
});
