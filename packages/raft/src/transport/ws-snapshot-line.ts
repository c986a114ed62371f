import type { WebSocket } from 'ws';
import { closeSocket, describeClose } from './channel.js';
import { CloseCode } from './hello.js';
import { LineEnd, type LineEvents, type SnapshotLine } from './snapshot-line.js';

/** A snapshot's connection over a WebSocket. */
export class WsSnapshotLine implements SnapshotLine {
  private readonly socket: WebSocket;
  private events: LineEvents | undefined;
  private problem: string | undefined;

  /** @param socket open, or connecting */
  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('error', (error) => {
      this.problem ??= error.message;
    });
    socket.once('open', () => this.events?.opened());
    socket.on('message', (data, isBinary) => {
      if (isBinary) this.events?.frame(data as Buffer);
      else closeSocket(socket, CloseCode.Malformed, 'a text frame');
    });
    socket.once('close', (code, reason) => {
      const text = reason.length === 0 ? this.problem : undefined;
      this.events?.closed(endOf(code), text ?? describeClose(code, reason));
    });
  }

  listen(events: LineEvents): void {
    this.events = events;
  }

  send(frame: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(error) : resolve());
      this.socket.send(frame, { binary: true, compress: false }, done);
    });
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  get isPaused(): boolean {
    return this.socket.isPaused;
  }

  close(end: LineEnd, reason: string): void {
    if (end === LineEnd.Broken) {
      // There may be nobody to agree to a close.
      this.socket.terminate();
      return;
    }
    // A paused socket would never see the other side agree.
    this.resume();
    closeSocket(this.socket, CloseCode.Gone, reason);
  }
}

/** Only a member that means it sends a code of the private range, except for silence. */
function endOf(code: number): LineEnd {
  const meant = code >= CloseCode.Malformed && code !== CloseCode.Silent;
  return meant ? LineEnd.Over : LineEnd.Broken;
}
