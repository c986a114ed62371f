/** Bytes of a frame as the `ws` package gives them. */
export type FrameData = Buffer | ArrayBuffer | Buffer[];

/**
 * The part of a node's WebSocket (of the `ws` package) that the dispatcher uses. It is open, past its
 * handshake.
 */
export interface NodeSocket {
  readonly readyState: number;
  readonly OPEN: number;
  /** Bytes that wait to be sent. */
  readonly bufferedAmount: number;
  on(event: 'message', listener: (data: FrameData, isBinary: boolean) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: (code: number) => void): unknown;
  on(event: 'pong', listener: () => void): unknown;
  send(frame: Uint8Array, done: (error?: Error | null) => void): void;
  /** Asks the other side for a sign of life, which comes as `pong` (RFC 6455, section 5.5.2). */
  ping(): void;
  /** Delivers no message until `resume`. */
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
  terminate(): void;
}
