/** Bytes of a frame as the `ws` package delivers them. */
export type SocketData = Buffer | ArrayBuffer | Buffer[];

/** What a session uses of a WebSocket, as the `ws` package has it. */
export interface AgentSocket {
  readonly readyState: number;
  readonly OPEN: number;
  /** Bytes waiting to be sent. */
  readonly bufferedAmount: number;
  /** The subprotocol that both sides agreed on; empty without one. Known once the socket is open. */
  readonly protocol: string;
  on(event: 'open', listener: () => void): unknown;
  on(event: 'message', listener: (data: SocketData, isBinary: boolean) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: (code: number) => void): unknown;
  send(frame: Uint8Array, done: (error?: Error | null) => void): void;
  close(code: number): void;
  terminate(): void;
}
