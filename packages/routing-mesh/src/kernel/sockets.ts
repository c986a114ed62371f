import type { Duplex } from 'node:stream';
import type { IpAddress } from '@swarm/api';

/** A TCP connection. Each half ends by itself; emits `connect` when this side opened it. */
export interface StreamSocket extends Duplex {
  /** Of the other end; undefined once it is closed. */
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  /** Of this end. */
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** Ends the connection with a reset. */
  resetAndDestroy(): unknown;
  setKeepAlive(on: boolean): unknown;
}

/** Accepts TCP clients. */
export interface StreamListener {
  /** Accepts no more clients; existing ones continue. */
  close(): void;
}

/** A UDP socket. */
export interface DatagramSocket {
  /** Sends to the connected address. A failure is an `error` event, or lost, as UDP may be. */
  send(data: Uint8Array): void;
  sendTo(data: Uint8Array, to: DatagramPeer): void;
  /** Bytes waiting to be sent. */
  readonly queuedBytes: number;
  /** May be called more than once. */
  close(): void;
}

export interface DatagramPeer {
  readonly address: string;
  readonly port: number;
}

export interface ListenOptions {
  readonly address: string;
  readonly port: number;
  /** Clients at a time. */
  readonly connectionLimit: number;
}

/** The host's sockets, for proxies. `systemSockets` is the real one. */
export interface Sockets {
  /**
   * Accepts TCP clients. An IPv6 address only accepts IPv6 clients.
   * @throws with the code of the failure: `EADDRINUSE`, `EACCES`, `EAFNOSUPPORT`
   */
  listen(options: ListenOptions, serve: (client: StreamSocket) => void): Promise<StreamListener>;
  connect(to: { readonly address: IpAddress; readonly port: number }): StreamSocket;
  /** @throws as `listen` */
  bindDatagrams(
    at: DatagramPeer,
    receive: (data: Uint8Array, from: DatagramPeer) => void,
  ): Promise<DatagramSocket>;
  /**
   * Opens a socket with its own port; calls `ready` when it can send. Calls only `failed` for a target that it
   * cannot reach.
   */
  connectDatagrams(
    to: { readonly address: IpAddress; readonly port: number },
    events: { ready(): void; receive(data: Uint8Array): void; failed(): void },
  ): DatagramSocket;
}
