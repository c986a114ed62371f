import { EventEmitter } from 'node:events';
import type { Clock } from '@swarm/api';
import type { NodeSocket } from '@swarm/manager/assembly';
import type { AgentSocket } from '@swarm/worker';

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
/** One way. */
const LATENCY_MS = 1;
/** RFC 6455: no closing handshake. */
const ABNORMAL = 1006;

/** One end of a WebSocket in memory. Frames arrive in order, a millisecond of the clock after they were sent. */
export class PairedSocket extends EventEmitter implements AgentSocket, NodeSocket {
  readonly OPEN = OPEN;
  readonly protocol: string;
  readyState = CONNECTING;
  bufferedAmount = 0;
  readonly #clock: Clock;
  #peer!: PairedSocket;
  #isPaused = false;
  /** What arrived while paused. */
  #held: (() => void)[] = [];

  static pair(clock: Clock, protocol: string): [PairedSocket, PairedSocket] {
    const [near, far] = [new PairedSocket(clock, protocol), new PairedSocket(clock, protocol)];
    near.#peer = far;
    far.#peer = near;
    return [near, far];
  }

  private constructor(clock: Clock, protocol: string) {
    super();
    this.#clock = clock;
    this.protocol = protocol;
  }

  /** @param admit what the other side decides; what it resolves with takes the other end over */
  connect(admit: () => Promise<() => void>): void {
    this.#later(() => {
      admit().then(
        (takeOver) => {
          if (this.readyState !== CONNECTING) return;
          this.#peer.readyState = OPEN;
          takeOver();
          this.#later(() => {
            if (this.readyState !== CONNECTING) return;
            this.readyState = OPEN;
            this.emit('open');
          });
        },
        (error: unknown) => {
          if (this.readyState !== CONNECTING) return;
          this.emit('error', error);
          this.#end(ABNORMAL);
        },
      );
    });
  }

  send(frame: Uint8Array, done: (error?: Error | null) => void): void {
    if (this.readyState !== OPEN) {
      this.#later(() => done(new Error('the socket is not open')));
      return;
    }
    const bytes = Buffer.from(frame);
    this.bufferedAmount += bytes.length;
    this.#later(() => {
      this.bufferedAmount -= bytes.length;
      done();
      this.#peer.#arrive(() => this.#peer.emit('message', bytes, true));
    });
  }

  ping(): void {
    this.#later(() =>
      this.#peer.#arrive(() => {
        // Like a real socket, answers by itself.
        if (this.#peer.readyState === OPEN)
          this.#peer.#later(() => this.#arrive(() => this.emit('pong')));
      }),
    );
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && this.#held.length > 0) this.#held.shift()!();
  }

  close(code: number): void {
    if (this.readyState !== OPEN) {
      this.terminate();
      return;
    }
    this.readyState = CLOSING;
    this.#later(() =>
      this.#peer.#arrive(() => {
        this.#peer.#end(code);
        this.#later(() => this.#end(code));
      }),
    );
  }

  terminate(): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.#later(() => this.emit('close', ABNORMAL));
    this.#later(() => this.#peer.#end(ABNORMAL));
  }

  #end(code: number): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.emit('close', code);
  }

  #arrive(event: () => void): void {
    if (this.readyState === CLOSED) return;
    if (this.#isPaused) this.#held.push(event);
    else event();
  }

  #later(event: () => void): void {
    this.#clock.setTimeout(event, LATENCY_MS);
  }
}
