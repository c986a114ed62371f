import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import type { Credential } from './credential.js';

/** Most unread bytes from a manager on one connection. */
const INBOX_LIMIT_BYTES = 16 * 1024 * 1024;

export interface LineOptions {
  readonly host: string;
  readonly port: number;
  readonly credential: Credential;
  /** Without TLS. */
  readonly bare?: boolean;
  /** An earlier TLS session to resume. */
  readonly session?: Buffer | undefined;
  readonly onSession?: (session: Buffer) => void;
}

/** One connection to a manager, as bytes. */
export class Line {
  readonly #socket: Socket;
  /** Received bytes that are not read yet. */
  inbox: Buffer = Buffer.alloc(0);
  /** Why nothing more arrives. */
  ended: string | undefined;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => {
      this.inbox = this.inbox.length === 0 ? bytes : Buffer.concat([this.inbox, bytes]);
      if (this.inbox.length > INBOX_LIMIT_BYTES) this.#end('too much came');
      this.#wake();
    });
    socket.on('end', () => this.#end('closed'));
    socket.on('close', () => this.#end('closed'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message));
  }

  /** Resolves when connected, or when connecting failed (see `ended`). */
  static async open(options: LineOptions, timeoutMs: number): Promise<Line> {
    const { host, port, credential, bare = false, session, onSession } = options;
    const where = { host, port, localAddress: credential.from };
    const { key, certificate } = credential;
    const socket: Socket = bare
      ? connectTcp(where)
      : connectTls({
          ...where,
          ...(key === undefined ? {} : { key }),
          ...(certificate === undefined ? {} : { cert: certificate }),
          ...(session === undefined ? {} : { session }),
          rejectUnauthorized: false,
        });
    if (onSession !== undefined) socket.on('session', onSession);
    const line = new Line(socket);
    let isOpen = false;
    socket.once(bare ? 'connect' : 'secureConnect', () => {
      isOpen = true;
      line.#wake();
    });
    await line.until(() => isOpen, timeoutMs);
    if (!isOpen) line.#end('no handshake');
    return line;
  }

  write(bytes: Buffer): void {
    if (this.ended === undefined && this.#socket.writable) this.#socket.write(bytes);
  }

  /** Waits until the condition holds, checking it whenever bytes arrive; false on timeout. */
  async until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs;
    while (!condition()) {
      const leftMs = end - performance.now();
      if (this.ended !== undefined || leftMs <= 0) return condition();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }

  /**
   * Closes the connection cleanly or at once, with a reset where the kernel allows it. Leaves nothing
   * behind.
   */
  end(how: 'close' | 'cut' | 'reset'): void {
    if (how === 'close') this.#socket.destroySoon();
    else if (how === 'reset' && !(this.#socket instanceof TLSSocket))
      this.#socket.resetAndDestroy();
    else this.#socket.destroy();
    this.#end('ended here');
  }

  #end(why: string): void {
    this.ended ??= why;
    this.#wake();
  }
}
