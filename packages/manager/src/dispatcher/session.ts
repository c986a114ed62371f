import type { AgentHello, AgentMessage, Clock, Logger, ManagerMessage, Timer } from '@swarm/api';
import { DISPATCH_FRAME_LIMIT_BYTES } from '@swarm/api';
import { WITH_TYPED_ASSIGNMENTS } from '@swarm/api/wire';
import type { NodeKind } from '@swarm/identity';
import type { AssignmentSender } from './assignment-sender.js';
import { type DispatchCodec, MalformedMessage } from './codec.js';
import { CLOSE_TIMEOUT_MS, RECEIVE_REST_MS, SESSION_BUFFER_LIMIT_BYTES } from './limits.js';
import type { Budget } from './node-budgets.js';
import type { FrameData, NodeSocket } from './node-socket.js';

/** The connected node, which `Authority` admitted. */
export interface SessionPeer {
  readonly nodeId: string;
  readonly kind: NodeKind;
  /** Without port. */
  readonly remoteAddress: string;
  /** The protocol that both sides agreed on when they connected. */
  readonly protocol: number;
}

/** Closing codes of RFC 6455, section 7.4.1. */
const CLOSE_NORMAL = 1000;
const CLOSE_GOING_AWAY = 1001;
const CLOSE_POLICY = 1008;

export interface DispatcherSessionHandler {
  message(session: DispatcherSession, message: AgentMessage): void;
  /** Called when frames are read again after a pause. */
  resumed(session: DispatcherSession): void;
  /** The other side answered a ping. */
  answered(session: DispatcherSession): void;
  /** @param clean whether the agent said goodbye, so that it is not a failure */
  closed(session: DispatcherSession, clean: boolean): void;
}

export interface DispatcherSessionOptions {
  readonly id: string;
  readonly peer: SessionPeer;
  readonly socket: NodeSocket;
  readonly codec: DispatchCodec;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly handler: DispatcherSessionHandler;
  /** Messages and bytes that this node may send. While it exceeds them, its socket is not read. */
  readonly received: Budget;
}

/** One connection of an agent: bounded frames in and out, and what was sent so far. */
export class DispatcherSession {
  readonly id: string;
  readonly peer: SessionPeer;
  readonly #socket: NodeSocket;
  readonly #codec: DispatchCodec;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #handler: DispatcherSessionHandler;
  readonly #received: Budget;
  #closeTimer: Timer;
  #resumeTimer: Timer;
  #ended = false;

  /** The agent's hello, with its newest description. */
  hello: AgentHello | undefined;
  /** Ends a session without a hello. */
  helloTimer: Timer;
  /** Sends the assignments; undefined until the welcome. */
  assignments: AssignmentSender | undefined;
  /** The newest mesh generation sent, those not acknowledged yet, and the newest acknowledged. */
  meshSent = 0;
  meshInflight: number[] = [];
  meshAcked = 0;
  isMeshUnderWay = false;

  constructor(options: DispatcherSessionOptions) {
    this.id = options.id;
    this.peer = options.peer;
    this.#socket = options.socket;
    this.#codec = options.codec;
    this.#clock = options.clock;
    this.#handler = options.handler;
    this.#received = options.received;
    this.#logger = options.logger.child({ nodeId: options.peer.nodeId, session: options.id });
    this.#socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    this.#socket.on('pong', () => this.#handler.answered(this));
    this.#socket.on('error', (error) => this.#logger.debug({ err: error }, 'session failed'));
    this.#socket.on('close', (code) => {
      this.#clock.clearTimeout(this.#closeTimer);
      this.#clock.clearTimeout(this.#resumeTimer);
      const goodbye = code === CLOSE_NORMAL || code === CLOSE_GOING_AWAY;
      this.#handler.closed(this, goodbye && !this.#ended);
      this.#ended = true;
    });
  }

  get nodeId(): string {
    return this.peer.nodeId;
  }

  /** Whether the agent was welcomed, and assignments and mesh follow. */
  get isWelcome(): boolean {
    return this.assignments !== undefined;
  }

  /** Whether this side has given the session up. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether frames of the agent stay unread for now. */
  get paused(): boolean {
    return this.#resumeTimer !== undefined;
  }

  send(message: ManagerMessage): void {
    if (!this.#ended) this.sendFrame(this.#codec.encode(message, this.peer.protocol));
  }

  /**
   * Sends an encoded message, and calls `taken` once the socket has it. Ends the session when the agent is too
   * far behind or the frame is too long.
   */
  sendFrame(frame: Buffer, taken?: () => void): void {
    if (this.#ended || this.#socket.readyState !== this.#socket.OPEN) return;
    if (frame.length > DISPATCH_FRAME_LIMIT_BYTES) {
      const { protocol } = this.peer;
      const fields = { bytes: frame.length, limitBytes: DISPATCH_FRAME_LIMIT_BYTES, protocol };
      this.#logger.error(fields, 'what this node must know does not fit into a message');
      this.end(
        this.peer.protocol < WITH_TYPED_ASSIGNMENTS
          ? 'the tasks of this node do not fit into one message, as its version needs them: upgrade it, or give it fewer tasks'
          : 'what this node must know does not fit into a message: the log of this manager names it',
      );
      return;
    }
    if (this.#socket.bufferedAmount + frame.length > SESSION_BUFFER_LIMIT_BYTES) {
      this.#logger.warn(
        { bytes: this.#socket.bufferedAmount },
        'the agent reads too slowly, dropped',
      );
      this.#ended = true;
      this.#socket.terminate();
      return;
    }
    // The socket's own event reports errors, too, and ends the session.
    this.#socket.send(frame, () => taken?.());
  }

  /**
   * Sends frames one after the other, each when the socket has taken the one before, so that other messages find
   * their way between them. @param done called after the last; never when the session ends before
   */
  sendFrames(frames: readonly Buffer[], done: () => void): void {
    const [first, ...rest] = frames;
    if (this.#ended) return;
    if (first === undefined) done();
    else if (rest.length === 0) {
      this.sendFrame(first);
      done();
    } else this.sendFrame(first, () => this.sendFrames(rest, done));
  }

  /** Asks the other side for a sign of life; `answered` of the handler reports it. */
  ping(): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  /** Refuses a second daemon that runs with the node's identity. */
  endCopy(reason: string): void {
    this.send({ type: 'session-end', reason, fatal: false, isCopy: true });
    this.#close(CLOSE_POLICY, reason);
  }

  /**
   * Sends the agent the reason and closes.
   * @param fatal whether the agent should not come back
   */
  end(reason: string, fatal = false): void {
    if (this.#ended) return;
    this.send({ type: 'session-end', reason, fatal });
    this.#close(CLOSE_POLICY, reason);
  }

  /** Stops reading until the node's budget allows more. Messages already read are still handled. */
  #rest(): void {
    const waitMs = this.#received.waitMs();
    if (waitMs === 0 || this.#resumeTimer !== undefined || this.#ended) return;
    this.#socket.pause();
    this.#resumeTimer = this.#clock.setTimeout(
      () => {
        this.#resume();
        this.#handler.resumed(this);
      },
      Math.max(waitMs, RECEIVE_REST_MS),
    );
  }

  #resume(): void {
    this.#clock.clearTimeout(this.#resumeTimer);
    this.#resumeTimer = undefined;
    this.#socket.resume();
  }

  #close(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    // A paused socket would never read the other side's close.
    if (this.paused) this.#resume();
    // RFC 6455 allows 123 bytes; `session-end` carried the whole reason.
    this.#socket.close(code, reason.slice(0, 100).replace(/[^\x20-\x7e]/g, '?'));
    this.#closeTimer = this.#clock.setTimeout(() => this.#socket.terminate(), CLOSE_TIMEOUT_MS);
  }

  #receive(data: FrameData, isBinary: boolean): void {
    if (this.#ended) return;
    try {
      if (!isBinary) throw new MalformedMessage('a text frame');
      const frame = bytesOf(data);
      this.#received.spend(1, frame.byteLength);
      this.#handler.message(this, this.#codec.decode(frame));
      this.#rest();
    } catch (error) {
      if (error instanceof MalformedMessage) {
        this.#logger.warn({ err: error }, 'malformed message, session ended');
        this.end(`malformed message: ${error.message}`);
        return;
      }
      // A fault of ours, which must not affect other nodes.
      this.#logger.error({ err: error }, 'a message could not be handled, session ended');
      this.end('a fault of the manager: its log has more');
    }
  }
}

function bytesOf(data: FrameData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}
