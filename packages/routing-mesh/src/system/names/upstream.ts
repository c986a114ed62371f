import { randomInt } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { Socket as TcpSocket } from 'node:net';
import { type IpAddress, isIpv6 } from '@swarm/api/address';
import { HEADER_BYTES, RCODE, readQuery } from '../../names/dns-query.js';
import { isTruncated, TCP_LIMIT_BYTES } from '../../names/dns-reply.js';
import type { Transport, Upstream } from '../../names/name-resolver.js';
import { ServerOrder } from '../../names/server-order.js';
import type { NamespaceSockets } from './namespace-sockets.js';

const DNS_PORT = 53;
/** How long one server has to answer, and all of them. */
const SERVER_LIMIT_MS = 2_000;
const ALL_LIMIT_MS = 4_000;
/** Servers asked for one question. */
const SERVERS_LIMIT = 3;
/** Messages that do not answer the question, after which it is given up: somebody guesses. */
const STRANGE_LIMIT = 64;

/** Makes sockets that are not connected yet, in the namespace from which servers are asked. */
export interface UpstreamSockets {
  udp(peer: IpAddress): Promise<UdpSocket>;
  tcp(peer: IpAddress): TcpSocket;
}

/** Of the process's own namespace. */
export const hostSockets: UpstreamSockets = {
  udp: async (peer) => createSocket(isIpv6(peer) ? 'udp6' : 'udp4'),
  tcp: () => new TcpSocket(),
};

/** @param netns an open file of the namespace */
export function namespaceSocketsOf(sockets: NamespaceSockets, netns: number): UpstreamSockets {
  return {
    udp(peer) {
      const socket = createSocket(isIpv6(peer) ? 'udp6' : 'udp4');
      const fd = sockets.open(netns, 'udp', peer);
      return new Promise((resolve, reject) => {
        socket.once('error', reject);
        socket.bind({ fd }, () => {
          socket.off('error', reject);
          resolve(socket);
        });
      });
    },
    tcp(peer) {
      const fd = sockets.open(netns, 'tcp', peer);
      // Undocumented, and needed: without it the socket is read before it is connected, and fails.
      const options = { fd, readable: true, writable: true, manualStart: true };
      return new TcpSocket(options);
    },
  };
}

export interface DnsUpstreamOptions {
  readonly open: UpstreamSockets;
  /** Servers to ask when the caller names none. */
  readonly servers: () => readonly IpAddress[];
}

/** Asks name servers over UDP, and over TCP for what does not fit, each question with its own id and port. */
export class DnsUpstream implements Upstream {
  readonly #options: DnsUpstreamOptions;
  readonly #order = new ServerOrder();

  constructor(options: DnsUpstreamOptions) {
    this.#options = options;
  }

  async ask(
    question: Uint8Array,
    transport: Transport,
    servers: readonly IpAddress[] = this.#options.servers(),
  ): Promise<Buffer | undefined> {
    const startMs = performance.now();
    let failure: Buffer | undefined;
    for (const server of this.#order.of(servers, startMs).slice(0, SERVERS_LIMIT)) {
      const leftMs = ALL_LIMIT_MS - (performance.now() - startMs);
      if (leftMs <= 0) break;
      const limitMs = Math.min(SERVER_LIMIT_MS, leftMs);
      const reply = await this.#askServer(server, question, transport, limitMs);
      if (reply === undefined) {
        this.#order.silent(server, performance.now());
        continue;
      }
      this.#order.answered(server);
      const rcode = reply[3]! & 0xf;
      if (rcode !== RCODE.SERVFAIL && rcode !== RCODE.REFUSED && rcode !== RCODE.NOTIMP)
        return reply;
      failure ??= reply;
    }
    return failure;
  }

  /** @returns undefined without an answer in time */
  async #askServer(
    server: IpAddress,
    question: Uint8Array,
    transport: Transport,
    limitMs: number,
  ): Promise<Buffer | undefined> {
    const { open } = this.#options;
    const sent = Buffer.from(question);
    sent.writeUInt16BE(randomInt(0x1_0000), 0);
    const endMs = performance.now() + limitMs;
    try {
      let reply = await askUdp(await open.udp(server), server, sent, limitMs);
      if (reply !== undefined && transport === 'tcp' && isTruncated(reply))
        reply = await askTcp(open.tcp(server), server, sent, endMs - performance.now());
      if (reply === undefined) return undefined;
      // The client's own id.
      reply[0] = question[0]!;
      reply[1] = question[1]!;
      return reply;
    } catch {
      return undefined;
    }
  }
}

function askUdp(
  socket: UdpSocket,
  server: IpAddress,
  sent: Buffer,
  limitMs: number,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let strange = 0;
    let isOver = false;
    const end = (reply?: Buffer) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      socket.close();
      resolve(reply);
    };
    const timer = setTimeout(end, limitMs);
    socket.on('error', () => end());
    socket.on('message', (reply) => {
      if (isAnswerTo(sent, reply)) end(reply);
      else if (++strange >= STRANGE_LIMIT) end();
    });
    socket.connect(DNS_PORT, server, (error?: Error) => {
      if (error !== undefined) end();
      else if (!isOver) socket.send(sent, (failed) => failed && end());
    });
  });
}

function askTcp(
  socket: TcpSocket,
  server: IpAddress,
  sent: Buffer,
  limitMs: number,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0);
    const end = (reply?: Buffer) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reply);
    };
    const timer = setTimeout(end, Math.max(0, limitMs));
    socket.on('error', () => end());
    socket.on('close', () => end());
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length > TCP_LIMIT_BYTES + 2) return end();
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const reply = received.subarray(2, 2 + received.readUInt16BE(0));
      end(isAnswerTo(sent, reply) ? Buffer.from(reply) : undefined);
    });
    socket.connect({ host: server, port: DNS_PORT }, () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(sent.length, 0);
      socket.write(Buffer.concat([length, sent]));
    });
  });
}

/** Whether it answers this question, and no other: the rest could be anybody's guess. */
function isAnswerTo(sent: Buffer, reply: Buffer): boolean {
  if (reply.length < HEADER_BYTES || reply.readUInt16BE(0) !== sent.readUInt16BE(0)) return false;
  if ((reply[2]! & 0x80) === 0) return false;
  const read = readQuery(sent);
  if (read.kind !== 'query') return false;
  // Some servers repeat no question in a refusal.
  if (reply.readUInt16BE(4) === 0) return (reply[3]! & 0xf) !== 0;
  const question = sent.subarray(HEADER_BYTES, read.query.questionEnd);
  const repeated = reply.subarray(HEADER_BYTES, HEADER_BYTES + question.length);
  return lower(repeated) === lower(question);
}

function lower(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').toLowerCase();
}
