import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import type {
  QuestionPlaces,
  QuestionSockets,
  Reply,
  Transport,
} from '../../names/name-resolver.js';
import { RESOLVER_ADDRESS } from '../../names/resolver-orders.js';
import { type NamespaceSockets, namespaceId } from './namespace-sockets.js';
import { bindByHelper } from './namespace-helper.js';
import { ConnectionRoom, TcpQuestions } from './tcp-questions.js';
import { DnsUpstream, namespaceSocketsOf } from './upstream.js';

export const DNS_PORT = 53;
/** Answers of one task that the kernel has not taken. */
const UNSENT_LIMIT_BYTES = 1 << 20;

type Receive = (question: Uint8Array, transport: Transport, reply: Reply) => void;

/** What listens for one task. */
interface Listening {
  readonly udp: UdpSocket;
  readonly tcp: Server;
}

/**
 * Places in tasks' namespaces.
 * @param sockets absent without koffi: a program that enters the namespace makes them then
 */
export function questionPlaces(sockets: NamespaceSockets | undefined): QuestionPlaces {
  const room = new ConnectionRoom();
  return {
    async open(netns, receive) {
      const namespace = openSync(netns, 'r');
      try {
        const listening =
          sockets === undefined
            ? await bindByHelper(netns, RESOLVER_ADDRESS, DNS_PORT)
            : await bindHere(sockets, namespace);
        return place(listening, namespace, room, receive, sockets);
      } catch (error) {
        closeSync(namespace);
        throw error;
      }
    },
  };
}

async function bindHere(sockets: NamespaceSockets, namespace: number): Promise<Listening> {
  const fds = sockets.bind(namespace, RESOLVER_ADDRESS, DNS_PORT);
  // An address needs no looking up, which would cost each answer a round through the event loop.
  const udp = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
  const tcp = createServer({ allowHalfOpen: true });
  try {
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind({ fd: fds.udp }, () => resolve());
    });
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject);
      tcp.listen({ fd: fds.tcp }, () => resolve());
    });
  } catch (error) {
    udp.close();
    tcp.close();
    throw error;
  }
  return { udp, tcp };
}

function place(
  { udp, tcp }: Listening,
  namespace: number,
  room: ConnectionRoom,
  receive: Receive,
  sockets: NamespaceSockets | undefined,
): QuestionSockets {
  const id = namespaceId(namespace);
  let isClosed = false;
  udp.removeAllListeners('error');
  udp.on('error', () => {});
  udp.on('message', (question, { port, address }) => {
    receive(question, 'udp', (answer) => {
      if (isClosed || udp.getSendQueueSize() > UNSENT_LIMIT_BYTES) return;
      // A client that is gone does not matter.
      udp.send(answer, port, address, () => {});
    });
  });
  const questions = new TcpQuestions(tcp, room, (question, reply) =>
    receive(question, 'tcp', reply),
  );
  return {
    upstream:
      sockets &&
      new DnsUpstream({ open: namespaceSocketsOf(sockets, namespace), servers: () => [] }),
    async isIn(netns) {
      if (isClosed) return false;
      try {
        const file = await open(netns, 'r');
        try {
          return namespaceId(file.fd) === id;
        } finally {
          await file.close();
        }
      } catch {
        return false;
      }
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      udp.close();
      questions.close();
      closeSync(namespace);
    },
  };
}
