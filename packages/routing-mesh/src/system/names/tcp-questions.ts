import type { Server, Socket } from 'node:net';
import { QUERY_LIMIT_BYTES } from '../../names/dns-query.js';
import type { Reply } from '../../names/name-resolver.js';

/** Connections of one task. */
const CONNECTIONS_LIMIT = 32;
/** Connections of all tasks. */
const ALL_CONNECTIONS_LIMIT = 1024;
/** A connection ends when it brings no question, and takes no answer, for this long. */
const QUIET_MS = 10_000;
/** Questions of one connection that wait for answers; it is not read meanwhile. */
const WAITING_LIMIT = 16;
/** Answers that a client has not taken. */
const UNSENT_LIMIT_BYTES = 1 << 20;
/** Of the length before each message. */
const LENGTH_BYTES = 2;

/** Counts the connections of all tasks. */
export class ConnectionRoom {
  count = 0;

  get isFull(): boolean {
    return this.count >= ALL_CONNECTIONS_LIMIT;
  }
}

/** Reads questions from the clients of a server (RFC 7766): any number on one connection, answered in any order. */
export class TcpQuestions {
  readonly #server: Server;
  readonly #room: ConnectionRoom;
  readonly #receive: (question: Uint8Array, reply: Reply) => void;
  readonly #clients = new Set<Socket>();

  constructor(
    server: Server,
    room: ConnectionRoom,
    receive: (question: Uint8Array, reply: Reply) => void,
  ) {
    this.#server = server;
    this.#room = room;
    this.#receive = receive;
    server.on('connection', (client) => this.#serve(client));
    // A failed accept (out of file handles, say) costs only that client.
    server.on('error', () => {});
  }

  close(): void {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
  }

  #serve(client: Socket): void {
    if (this.#room.isFull || this.#clients.size >= CONNECTIONS_LIMIT) {
      client.resetAndDestroy();
      return;
    }
    this.#room.count += 1;
    this.#clients.add(client);
    client.setNoDelay(true);
    const timer = setTimeout(() => client.destroy(), QUIET_MS);
    let received: Buffer = Buffer.alloc(0);
    let waiting = 0;
    let hasEnded = false;
    const endWhenDone = () => {
      if (hasEnded && waiting === 0) client.end();
    };
    const read = () => {
      while (waiting < WAITING_LIMIT && received.length >= LENGTH_BYTES) {
        const length = received.readUInt16BE(0);
        if (length > QUERY_LIMIT_BYTES) {
          client.destroy();
          return;
        }
        if (received.length < LENGTH_BYTES + length) break;
        const question = received.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
        received = received.subarray(LENGTH_BYTES + length);
        timer.refresh();
        waiting += 1;
        let isAnswered = false;
        this.#receive(question, (answer) => {
          if (isAnswered) return;
          isAnswered = true;
          waiting -= 1;
          if (client.destroyed) return;
          timer.refresh();
          send(client, answer);
          if (client.isPaused()) {
            client.resume();
            setImmediate(read);
          }
          endWhenDone();
        });
      }
      if (waiting >= WAITING_LIMIT) client.pause();
    };
    client.on('data', (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      read();
    });
    client.on('end', () => {
      hasEnded = true;
      endWhenDone();
    });
    client.on('error', () => {});
    client.on('close', () => {
      clearTimeout(timer);
      this.#clients.delete(client);
      this.#room.count -= 1;
    });
  }
}

function send(client: Socket, answer: Buffer): void {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(answer.length, 0);
  client.write(Buffer.concat([length, answer]));
  if (client.writableLength > UNSENT_LIMIT_BYTES) client.destroy();
}
