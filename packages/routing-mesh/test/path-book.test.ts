import test from 'ava';
import { type CheckedPeer, readPeer } from '../src/checked.js';
import { ALL_PAIRS_LIMIT, PROBES_PER_TICK, TICK_MS, TURN_MS } from '../src/paths/limits.js';
import { PathBook, type Probe } from '../src/paths/path-book.js';
import { INGRESS, rawPeer } from './support/checked.js';

const START_MS = Date.parse('2026-01-01T00:00:00Z');
/** Bytes of both headers are not counted: packets are. */
const PACKETS_PER_PROBE = 2;

function peer(index: number, change: object = {}): CheckedPeer {
  return readPeer({ ...rawPeer(index), probed: true, ...change }, INGRESS);
}

function peersOf(count: number): Map<string, CheckedPeer> {
  return new Map(
    Array.from({ length: count }, (_, i) => peer(i + 1)).map((one) => [one.nodeId, one]),
  );
}

type Fate = (probe: Probe, toMs: number) => boolean;
const ANSWERED: Fate = () => true;
const LOST: Fate = () => false;

/** One node's book on virtual time, in a network that answers as the test says. */
class Looker {
  readonly book = new PathBook(Math.random);
  readonly self: CheckedPeer;
  peers: Map<string, CheckedPeer>;
  /** Since the start. */
  nowMs = 0;
  fate = ANSWERED;
  /** Whether it reads answers as they come. */
  isRead = true;
  readonly #answers: Probe[] = [];
  /** All packets, with when they went. */
  readonly sent: { readonly atMs: number; readonly nodeId: string; readonly size: string }[] = [];

  constructor(peers: Map<string, CheckedPeer>, index = 1) {
    this.peers = peers;
    this.self = peers.get(`node${index}`)!;
    this.follow(peers);
  }

  get moment() {
    return { monotonicMs: 1e6 + this.nowMs, wallMs: START_MS + this.nowMs };
  }

  follow(peers: Map<string, CheckedPeer>): void {
    this.peers = peers;
    this.book.follow(this.self, peers, this.moment);
  }

  change(nodeId: string, change: object): void {
    const index = Number(nodeId.slice(4));
    this.follow(new Map(this.peers).set(nodeId, peer(index, change)));
  }

  /** Lets time pass, a tick at a time. */
  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    while (this.nowMs < endMs) {
      this.nowMs += TICK_MS;
      for (const probe of this.book.tick(this.moment)) this.#deliver(probe);
    }
  }

  /** The process sleeps: time passes without it. */
  sleep(forMs: number): void {
    this.nowMs += forMs;
  }

  #deliver(probe: Probe): void {
    this.sent.push({ atMs: this.nowMs, nodeId: probe.peer.nodeId, size: probe.size });
    if (!this.fate(probe, this.nowMs)) return;
    this.#answers.push(probe);
    if (this.isRead) this.read();
  }

  /** Reads the answers that have come. */
  read(): void {
    for (const { peer, id } of this.#answers.splice(0)) {
      const next = this.book.answered(peer.nodeId, id, this.moment);
      if (next !== undefined) this.#deliver(next);
    }
  }

  /** What it finds: `node2 blocked`. */
  found(): string[] {
    return [...this.book.problems].map(([nodeId, { kind }]) => `${nodeId} ${kind}`);
  }

  /** The time until it finds something else. */
  untilChange(limitMs = 60_000): number {
    const before = this.book.problems;
    const fromMs = this.nowMs;
    while (this.book.problems === before && this.nowMs - fromMs < limitMs) this.run(TICK_MS);
    return this.nowMs - fromMs;
  }

  /** Most packets in any second. */
  peak(): number {
    const bySecond = new Map<number, number>();
    for (const { atMs } of this.sent) {
      const second = Math.floor(atMs / 1000);
      bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
    }
    return Math.max(...bySecond.values());
  }

  /** The longest time between two looks at a peer, from the start to now. */
  longestGap(nodeId: string, fromMs = 0): number {
    const times = this.sent.filter((one) => one.nodeId === nodeId && one.size === 'small');
    let last = fromMs;
    let gap = 0;
    for (const { atMs } of times) {
      if (atMs < fromMs) continue;
      gap = Math.max(gap, atMs - last);
      last = atMs;
    }
    return Math.max(gap, this.nowMs - last);
  }
}

test('a small cluster looks at every pair every two seconds, with 16 packets a second at most', (t) => {
  const node = new Looker(peersOf(ALL_PAIRS_LIMIT));
  node.run(60_000);
  for (const { nodeId } of node.peers.values()) {
    if (nodeId !== 'node1') t.true(node.longestGap(nodeId) <= 2500, `${node.longestGap(nodeId)}`);
  }
  t.false(
    node.sent.some(({ nodeId }) => nodeId === 'node1'),
    'not at itself',
  );
  t.true(node.sent.length <= 60 * 16, `${node.sent.length}`);
  t.deepEqual(node.found(), []);
});

test('whatever happens, a node sends at most 32 packets a second', (t) => {
  const limit = (PACKETS_PER_PROBE * PROBES_PER_TICK * 1000) / TICK_MS;
  t.is(limit, 32);
  for (const count of [ALL_PAIRS_LIMIT, 200, 4095]) {
    const node = new Looker(peersOf(count));
    node.run(20_000);
    node.fate = ({ size }) => size === 'small';
    node.run(60_000);
    node.fate = LOST;
    node.run(60_000);
    node.fate = ANSWERED;
    node.run(20_000);
    t.true(node.peak() <= limit, `${count} nodes: ${node.peak()}`);
  }
});

test('in a large cluster all pairs have their turn, both ends at the same time', (t) => {
  const peers = peersOf(100);
  const [first, last] = [new Looker(peers, 1), new Looker(peers, 100)];
  // A tick more: time between two ticks belongs to the later one.
  const roundMs = 100 * TURN_MS + 2 * TICK_MS;
  first.run(roundMs);
  last.run(roundMs);
  t.is(new Set(first.sent.map(({ nodeId }) => nodeId)).size, 99);
  const at = (looker: Looker, nodeId: string) =>
    looker.sent.find((one) => one.nodeId === nodeId)!.atMs;
  t.is(at(first, 'node100'), at(last, 'node1'));
  t.true(first.sent.length <= (roundMs / 1000) * 13, `${first.sent.length}`);
});

test('4095 nodes are looked at within eleven minutes', (t) => {
  const node = new Looker(peersOf(4095), 2000);
  node.run(11 * 60_000);
  t.is(new Set(node.sent.map(({ nodeId }) => nodeId)).size, 4094);
});

test('losses that end within seconds say nothing', (t) => {
  const node = new Looker(peersOf(3));
  node.run(10_000);
  for (let i = 0; i < 20; i++) {
    node.fate = LOST;
    node.run(4500);
    t.deepEqual(node.found(), []);
    node.fate = ANSWERED;
    node.run(4000);
  }
});

test('a blocked path is found within eight seconds, since its first loss, and mends within four', (t) => {
  for (let phase = 0; phase < 10; phase++) {
    const node = new Looker(peersOf(5));
    node.run(10_000 + phase * TICK_MS);
    const sinceMs = START_MS + node.nowMs;
    node.fate = ({ peer }) => peer.nodeId !== 'node4';
    const foundMs = node.untilChange();
    t.true(foundMs >= 5000 && foundMs <= 8000, `${foundMs}`);
    t.deepEqual(node.found(), ['node4 blocked']);
    const { sinceMs: said } = node.book.problems.get('node4')!;
    t.true(said >= sinceMs && said <= sinceMs + 2500);
    node.run(30_000);
    t.deepEqual(node.found(), ['node4 blocked']);
    node.fate = ANSWERED;
    const mendedMs = node.untilChange();
    t.true(mendedMs <= 4000, `${mendedMs}`);
    t.deepEqual(node.found(), []);
  }
});

test('a path that carries small packets only is told from a blocked one', (t) => {
  const node = new Looker(peersOf(3));
  node.run(10_000);
  node.fate = ({ peer, size }) => peer.nodeId !== 'node2' || size === 'small';
  t.true(node.untilChange() <= 8000);
  t.deepEqual(node.found(), ['node2 mtu']);
  node.fate = ({ peer }) => peer.nodeId !== 'node2';
  t.true(node.untilChange() <= 8000);
  t.deepEqual(node.found(), ['node2 blocked']);
  node.fate = ({ peer, size }) => peer.nodeId !== 'node2' || size === 'small';
  t.true(node.untilChange() <= 10_000);
  t.deepEqual(node.found(), ['node2 mtu']);
  node.fate = ANSWERED;
  t.true(node.untilChange() <= 4000);
  t.deepEqual(node.found(), []);
});

test('a node that has never answered gets ten seconds to start', (t) => {
  const node = new Looker(peersOf(2));
  node.fate = LOST;
  node.run(9000);
  t.deepEqual(node.found(), []);
  t.true(node.untilChange() <= 4000);
  t.deepEqual(node.found(), ['node2 blocked']);
});

test('a node that no longer says that it answers is left alone, and what is known of it stays', (t) => {
  const node = new Looker(peersOf(3));
  node.run(10_000);
  node.fate = ({ peer }) => peer.nodeId !== 'node2';
  node.untilChange();
  node.fate = LOST;
  node.change('node2', { probed: false });
  node.change('node3', { probed: false });
  node.run(2000);
  const sentUntil = node.sent.length;
  node.run(60_000);
  t.is(node.sent.length, sentUntil);
  t.deepEqual(node.found(), ['node2 blocked']);
  node.fate = ANSWERED;
  node.change('node2', { probed: true });
  t.true(node.untilChange() <= 5000);
  t.deepEqual(node.found(), []);
});

test('a node that is down is left alone and forgotten, as one without a tunnel', (t) => {
  const node = new Looker(peersOf(3));
  node.run(10_000);
  node.fate = LOST;
  node.run(10_000);
  t.is(node.found().length, 2);
  node.change('node2', { down: true });
  node.change('node3', { userspace: true });
  t.deepEqual(node.found(), []);
  t.true(node.book.isIdle);
  const sentUntil = node.sent.length;
  node.run(10_000);
  t.is(node.sent.length, sentUntil);
});

test('answers that wait while the own process sleeps are no losses', (t) => {
  const node = new Looker(peersOf(3));
  node.run(10_000);
  node.isRead = false;
  for (let i = 0; i < 20; i++) {
    node.sleep(3000);
    node.run(TICK_MS);
    node.read();
  }
  t.deepEqual(node.found(), []);
  node.fate = LOST;
  for (let i = 0; i < 20; i++) {
    node.sleep(3000);
    node.run(TICK_MS);
    node.read();
  }
  t.is(node.found().length, 2, 'what is lost is found all the same');
});

test('a failed path in a large cluster is looked at every few seconds', (t) => {
  const node = new Looker(peersOf(1000));
  node.fate = ({ peer }) => peer.nodeId !== 'node7';
  node.run(1000 * TURN_MS + 30_000);
  t.deepEqual(node.found(), ['node7 blocked']);
  t.true(node.longestGap('node7', node.nowMs - 15_000) <= 2500);
  node.fate = ANSWERED;
  t.true(node.untilChange() <= 5000);
});

test('a packet from a node that is not reached brings a look at it', (t) => {
  const node = new Looker(peersOf(1000));
  node.fate = LOST;
  node.run(400_000);
  t.true(node.found().length > 500);
  // Its turn among so many is far away.
  const [nodeId] = [...node.book.problems.keys()].slice(-100);
  const before = node.sent.filter((one) => one.nodeId === nodeId).length;
  node.book.heardFrom(nodeId!, node.moment);
  node.run(3000);
  t.true(node.sent.filter((one) => one.nodeId === nodeId).length > before);
});

test('only the answer that is waited for counts', (t) => {
  const node = new Looker(peersOf(2));
  node.fate = (probe) => {
    t.is(node.book.answered('node2', '0'.repeat(24), node.moment), undefined);
    t.is(node.book.answered('node9', probe.id, node.moment), undefined);
    return false;
  };
  node.run(20_000);
  t.deepEqual(node.found(), ['node2 blocked']);
});

test('a cluster that grows and shrinks is looked at all the same', (t) => {
  const node = new Looker(peersOf(10));
  node.run(5000);
  node.follow(peersOf(40));
  node.run(40 * TURN_MS + 500);
  t.is(new Set(node.sent.map(({ nodeId }) => nodeId)).size, 39);
  node.follow(peersOf(10));
  const fromMs = node.nowMs;
  node.run(20_000);
  for (let i = 2; i <= 10; i++) t.true(node.longestGap(`node${i}`, fromMs) <= 3000, `${i}`);
});
