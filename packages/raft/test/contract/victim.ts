import { WebSocket } from 'ws';
import type { TransportLimits } from '../../src/transport/limits.js';
import { Recorder } from '../../src/contract/transport-contract.js';
import { WsHost } from './ws-fixture.js';

/** A foreign program's end of a connection. */
export interface Intruder {
  readonly socket: WebSocket;
  /** Frames that the victim sent. */
  readonly answers: readonly Buffer[];
  /** How the victim ended it. */
  readonly closed: Promise<{ code: number; reason: string }>;
}

/** One member that listens, and what a foreign program may do to it. */
export class Victim {
  readonly host: WsHost;
  readonly handler = new Recorder();

  private constructor(host: WsHost, limits: Partial<TransportLimits>) {
    this.host = host;
    host.newTransport(limits).start(this.handler);
  }

  static async use(
    body: (victim: Victim) => Promise<void>,
    limits: Partial<TransportLimits> = {},
  ): Promise<void> {
    const host = await WsHost.create(1);
    try {
      await body(new Victim(host, limits));
    } finally {
      await host.close();
    }
  }

  /** A raw connection that has sent these frames. */
  async connect(
    frames: readonly (Uint8Array | string)[],
    path = '/raft',
    node = 'node-2',
  ): Promise<Intruder> {
    const socket = new WebSocket(`ws://${this.host.member.address}${path}`, {
      headers: { 'x-node': node },
    });
    socket.on('error', () => {});
    const answers: Buffer[] = [];
    socket.on('message', (data) => answers.push(data as Buffer));
    const closed = new Promise<{ code: number; reason: string }>((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    await new Promise((resolve) => socket.once('open', resolve));
    for (const frame of frames) socket.send(frame);
    return { socket, answers, closed };
  }
}
