import {
  type AgentHello,
  type AgentMessage,
  type Clock,
  dispatcherProtocol,
  highestCommon,
  type Logger,
  type ManagerMessage,
  PROGRAM,
  type Timer,
} from '@swarm/api';
import { helloInProtocol, type SetAside } from '@swarm/api/wire';
import { messageOf } from '../runtime/runtime-error.js';
import type { AgentSocket, SocketData } from './agent-socket.js';
import type { AgentCodec } from './codec.js';
import { CONNECT_LIMIT_MS, HEARTBEATS_UNANSWERED, SESSION_BUFFER_LIMIT_BYTES } from './limits.js';

const CLOSE_NORMAL = 1000;
/** Errors of connect(2) where nobody answered. */
const UNREACHED = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN']);

export interface AgentSessionHandler {
  /**
   * Every message except heartbeat answers.
   * @param setAside unreadable parts of it, which the message lacks
   */
  message(message: ManagerMessage, setAside: readonly SetAside[]): void;
  /**
   * Called once, whichever side ended the session, and even if it never opened.
   * @param isUnreached no packet got to the manager, or back
   */
  closed(reason: string, isUnreached: boolean): void;
}

export interface AgentSessionOptions {
  readonly socket: AgentSocket;
  readonly codec: AgentCodec;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly hello: () => AgentHello;
  readonly handler: AgentSessionHandler;
}

/** One connection to a manager: hello, heartbeats, frames in and out. */
export class AgentSession {
  readonly #socket: AgentSocket;
  readonly #codec: AgentCodec;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #handler: AgentSessionHandler;
  #timer: Timer;
  #heartbeatMs = 0;
  #answeredAtMs = 0;
  #closed = false;
  #isUnreached = false;
  #protocol: number | undefined;

  constructor(options: AgentSessionOptions) {
    this.#socket = options.socket;
    this.#codec = options.codec;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#handler = options.handler;
    this.#timer = this.#clock.setTimeout(
      () => this.close(`no answer within ${CONNECT_LIMIT_MS} ms`),
      CONNECT_LIMIT_MS,
    );
    this.#socket.on('open', () => this.#opened(options.hello));
    this.#socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    this.#socket.on('error', (error) => {
      this.#isUnreached = UNREACHED.has((error as NodeJS.ErrnoException).code ?? '');
      this.close(error.message);
    });
    this.#socket.on('close', (code) => this.close(`the manager closed with code ${code}`));
  }

  /** The protocol of this session; undefined until it is open. */
  get protocol(): number | undefined {
    return this.#protocol;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(message: AgentMessage): void {
    void this.sendAll(message);
  }

  /**
   * Sends, and resolves when the socket took all of it, for back-pressure; with false when the session is
   * over.
   */
  sendAll(message: AgentMessage): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#closed || this.#socket.readyState !== this.#socket.OPEN) {
        resolve(false);
        return;
      }
      const frame = this.#codec.encode(message);
      if (this.#socket.bufferedAmount + frame.length > SESSION_BUFFER_LIMIT_BYTES) {
        this.close('the manager reads too slowly');
        resolve(false);
        return;
      }
      // The socket's own event reports errors, too.
      this.#socket.send(frame, (error) => resolve(error === undefined || error === null));
    });
  }

  /**
   * Ends the session now, and calls the handler's `closed` before it returns.
   * @param polite says goodbye, so that the manager does not count it as a failure
   */
  close(reason: string, polite = false): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    if (polite) this.#socket.close(CLOSE_NORMAL);
    else this.#socket.terminate();
    this.#handler.closed(reason, this.#isUnreached);
  }

  #opened(hello: () => AgentHello): void {
    const { protocol: subprotocol } = this.#socket;
    const protocol = dispatcherProtocol(subprotocol) ?? 0;
    if (highestCommon(PROGRAM.Protocol, { Oldest: protocol, Newest: protocol }) === undefined) {
      this.close(`the manager chose ${subprotocol || 'no protocol'}, which was not offered`);
      return;
    }
    this.#protocol = protocol;
    this.send(helloInProtocol(protocol, hello()));
  }

  #receive(data: SocketData, isBinary: boolean): void {
    if (this.#closed) return;
    let message: ManagerMessage;
    let setAside: readonly SetAside[];
    try {
      if (!isBinary) throw new Error('a text frame');
      ({ message, setAside } = this.#codec.decode(bytesOf(data)));
    } catch (error) {
      this.#logger.warn({ error: messageOf(error) }, 'a manager sent a malformed message');
      this.close(`the manager sent a malformed message: ${messageOf(error)}`);
      return;
    }
    if (message.type === 'heartbeat-ack') {
      this.#answeredAtMs = this.#clock.monotonicMs();
      this.#heartbeatMs = message.heartbeatMs;
      return;
    }
    if (message.type === 'welcome') this.#startHeartbeats(message.heartbeatMs);
    this.#handler.message(message, setAside);
  }

  #startHeartbeats(heartbeatMs: number): void {
    this.#clock.clearTimeout(this.#timer);
    this.#heartbeatMs = heartbeatMs;
    this.#answeredAtMs = this.#clock.monotonicMs();
    this.#beat();
  }

  #beat(): void {
    const silentMs = this.#clock.monotonicMs() - this.#answeredAtMs;
    if (silentMs >= HEARTBEATS_UNANSWERED * this.#heartbeatMs) {
      this.close(`no heartbeat answered for ${Math.round(silentMs)} ms`);
      return;
    }
    this.send({ type: 'heartbeat' });
    if (!this.#closed) this.#timer = this.#clock.setTimeout(() => this.#beat(), this.#heartbeatMs);
  }
}

function bytesOf(data: SocketData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}
