import test from 'ava';
import { SendWindow } from '../src/transport/send-window.js';
import { SnapshotPosition } from '../src/transport/snapshot-frames.js';
import { Prng } from '@swarm/sim';

const PIECE = 10;
const MOST = 160;

/** A window and a receiver. Pieces hold their number, so that a gap or a repetition shows. */
class Pair {
  readonly window = new SendWindow(PIECE, MOST);
  readonly received: number[] = [];
  readonly position = new SnapshotPosition();
  private made = 0;

  /** Sends as much as the window allows. @returns the frames */
  fill(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    while (!this.window.isFull) {
      if (this.window.isSent) this.window.add(new Uint8Array(PIECE).fill(this.made++));
      frames.push(this.window.take());
    }
    return frames;
  }

  take(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.received.push(this.position.readChunk(frame)[0]!);
  }

  acknowledge(): void {
    this.window.acknowledge(this.position.at, this.position.checksum);
  }
}

test('a window begins with a quarter, is halved by a break and grows with what passes', (t) => {
  const pair = new Pair();
  t.is(pair.fill().length, MOST / 4 / PIECE);
  pair.window.broke();
  pair.window.resume(0, 0);
  t.is(pair.fill().length, MOST / 8 / PIECE);
  for (let i = 0; i < 3; i++) pair.window.broke();
  pair.window.resume(0, 0);
  const [first, ...more] = pair.fill();
  t.deepEqual(more, [], 'one piece is always let through');
  pair.take([first!]);
  pair.acknowledge();
  let passed = 0;
  for (; passed < 100; passed++) {
    const frames = pair.fill();
    if (frames.length === 4) break;
    pair.take(frames);
    pair.acknowledge();
  }
  t.true(passed >= 16 && passed < 100, String(passed));
});

test('whatever breaks, each piece arrives once and in order, and the window never exceeds its limit', (t) => {
  const random = new Prng(5, 'test').fraction;
  const pair = new Pair();
  for (let round = 0; round < 3000; round++) {
    const frames = pair.fill();
    t.true(frames.length <= MOST / PIECE);
    // Some frames arrive. Of these, acknowledgements arrive, or the connection breaks.
    pair.take(frames.slice(0, Math.floor(random() * (frames.length + 1))));
    if (random() < 0.7) pair.acknowledge();
    pair.window.broke();
    pair.window.resume(pair.position.at, pair.position.checksum);
  }
  t.true(pair.received.length > 1000);
  t.true(pair.received.every((piece, i) => piece === i % 256));
});

test('a receiver can only be at the end of a piece that was sent and not acknowledged', (t) => {
  const pair = new Pair();
  const frames = pair.fill();
  pair.take(frames.slice(0, 2));
  pair.acknowledge();
  const { window, position } = pair;
  const { at, checksum } = position;
  t.false(window.acknowledge(at, checksum), 'said again');
  for (const [offset, crc] of [
    [0, 0],
    [at, checksum ^ 1],
    [at + 5, checksum],
    [at + PIECE, checksum],
    [1000, 0],
  ] as const) {
    t.throws(() => window.acknowledge(offset, crc), { message: /where it cannot be/ });
  }
});
