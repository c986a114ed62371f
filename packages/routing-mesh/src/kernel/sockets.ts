import type { Duplex } from 'node:stream';
import type { IpAddress } from '@swarm/api';

/** A TCP connection. Ends by halves; emits `connect` when this side opened it. */
export interface StreamSocket extends Duplex {
  /** Ends it with a reset. */
  resetAndDestroy(): unknown;
  setKeepAlive(on: boolean): unknown;
}

/** What takes TCP clients. */
export interface StreamListener {
  /** Takes no more clients; those there are go on. */
  close(): void;
}

/** A UDP socket. */
export interface DatagramSocket {
  /** To the address it is connected to. A failure is an `error` event, or lost as UDP may be. */
  send(data: Uint8Array): void;
  sendTo(data: Uint8Array, to: DatagramPeer): void;
  /** Bytes that wait to be sent. */
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

/** The host's sockets, as proxies use them. `systemSockets` is the real one. */
export interface Sockets {
  /**
   * Takes TCP clients. IPv6 addresses take IPv6 clients only.
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
   * A socket with a port of its own; `ready` is called when it can send. A target that cannot be reached
   * gets `failed` alone.
   */
  connectDatagrams(
    to: { readonly address: IpAddress; readonly port: number },
    events: { ready(): void; receive(data: Uint8Array): void; failed(): void },
  ): DatagramSocket;
}
