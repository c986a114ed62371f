/** Runs inside a network namespace of the lab: a node's part of names, a client of them, or a name server. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setPriority } from 'node:os';
import { decode, type DecodedPacket, encode, type Packet } from 'dns-packet';
import { type Logger, parseIpAddress, systemClock } from '@swarm/api';
import { readAttachment } from '../../src/attachment.js';
import { ResolverNames } from '../../src/names/resolver-names.js';
import { parseNetworkId, parseTaskId } from '../../src/layout.js';
import { systemResolver } from '../../src/system/names/system-resolver.js';
import type { NetworkView } from '../../src/overlay/network-view.js';
import type { TaskAttachment } from '../../src/mesh.js';
import { namesSlice, type PlainView, readView } from '../support/name-views.js';

export interface Ask {
  readonly name: string;
  readonly type?: string;
  readonly transport?: 'udp' | 'tcp';
  /** With an OPT record. */
  readonly udpPayloadSize?: number;
  readonly timeoutMs?: number;
}

/** What came back. */
export interface Asked {
  readonly rcode: string;
  readonly isTruncated: boolean;
  readonly bytes: number;
  /** Data of the records of the answer. */
  readonly data: readonly string[];
  readonly ttls: readonly number[];
  readonly hasEdns: boolean;
}

export interface ServerPlan {
  readonly address: string;
  /** Addresses by name; other names do not exist. */
  readonly names: Readonly<Record<string, readonly string[]>>;
  readonly delayMs?: number;
  /** It gets questions and says nothing. */
  readonly isSilent?: boolean;
}

const logger: Logger = {
  child: () => logger,
  debug: () => {},
  info: () => {},
  warn: (fields, message) => note('warn', fields, message),
  error: (fields, message) => note('error', fields, message),
};
const notes: string[] = [];
function note(level: string, fields: object, message: string): void {
  notes.push(`${level} ${message} ${String((fields as { err?: unknown }).err ?? '')}`);
}

let names: ResolverNames | undefined;
let networks: readonly NetworkView[] = [];
const holding = new Set<Socket>();
const servers = new Map<
  string,
  { udp: UdpSocket; tcp: Server; asked: number; waiting: number; most: number }
>();

const handlers = {
  open(folder: string, resolvConf: string): void {
    names = new ResolverNames({
      resolver: systemResolver({ folder, resolvConf }),
      clock: systemClock(),
      logger,
    });
  },
  /** @returns how long it took, in ms */
  async apply(views: readonly PlainView[]): Promise<number> {
    networks = views.map(readView);
    const startMs = performance.now();
    await names!.apply(namesSlice(...networks));
    return performance.now() - startMs;
  },
  /** Applies what was applied last with another address of the first service. @returns how long it took, in ms */
  async change(networkId: string, round: number): Promise<number> {
    let serviceId = '';
    networks = networks.map((view) => {
      if (view.overlay.networkId !== networkId) return view;
      const [first] = view.services.values();
      const vips = [parseIpAddress(`10.3.0.${round}`)!];
      const services = new Map(view.services).set(first!.serviceId, { ...first!, vips });
      serviceId = first!.serviceId;
      return { ...view, services };
    });
    const startMs = performance.now();
    const touch = { services: new Set([serviceId]), members: new Set<never>() };
    const touched = new Map([[parseNetworkId(networkId)!, touch]]);
    await names!.apply({ ...namesSlice(...networks), touched });
    return performance.now() - startMs;
  },
  attach: (task: TaskAttachment) => names!.attach(readAttachment(task)),
  detach: (taskIds: readonly string[]) => names!.detach(taskIds.map((id) => parseTaskId(id)!)),
  retain: (taskIds: readonly string[]) => names!.retain(new Set(taskIds)),
  close: (keep: boolean) => names!.close({ keep }),
  notes: (): readonly string[] => notes.splice(0),
  rssBytes: (): number => process.memoryUsage.rss(),

  ask: (question: Ask): Promise<Asked> => ask(question),
  /** Sends bytes as they are. @returns what comes back within a while, as hexadecimal digits */
  raw: (hex: string, transport: 'udp' | 'tcp', timeoutMs: number): Promise<string> =>
    raw(Buffer.from(hex, 'hex'), transport, timeoutMs),

  async startServer({ address, names: known, delayMs = 0, isSilent = false }: ServerPlan) {
    const udp = createSocket('udp4');
    const entry = { udp, tcp: createServer(), asked: 0, waiting: 0, most: 0 };
    const answer = (question: Buffer): Buffer => {
      const { id = 0, questions = [], additionals = [] } = decode(question);
      const found = known[questions[0]?.name.toLowerCase() ?? ''];
      const answers = (found ?? []).map(
        (data) => ({ type: 'A', name: questions[0]!.name, ttl: 60, data }) as const,
      );
      return encode({
        type: 'response',
        id,
        flags: (found === undefined ? 3 : 0) | 0x180,
        questions,
        answers: questions[0]?.type === 'A' ? answers : [],
        additionals,
      } as Packet);
    };
    udp.on('message', (question, from) => {
      entry.asked += 1;
      entry.waiting += 1;
      entry.most = Math.max(entry.most, entry.waiting);
      if (isSilent) return;
      let reply = answer(question);
      if (reply.length > 512) {
        const { id = 0, questions = [] } = decode(question);
        reply = encode({ type: 'response', id, flags: 0x380, questions });
      }
      setTimeout(() => {
        entry.waiting -= 1;
        udp.send(reply, from.port, from.address);
      }, delayMs);
    });
    entry.tcp.on('connection', (client) => {
      client.on('error', () => {});
      client.on('data', (chunk) => {
        if (isSilent) return;
        const reply = answer(chunk.subarray(2));
        client.write(Buffer.concat([Buffer.of(reply.length >> 8, reply.length & 255), reply]));
      });
    });
    await new Promise<void>((resolve) => udp.bind(53, address, resolve));
    await new Promise<void>((resolve) => entry.tcp.listen(53, address, resolve));
    servers.set(address, entry);
  },
  stopServer(address: string): void {
    servers.get(address)?.udp.close();
    servers.get(address)?.tcp.close();
    servers.delete(address);
  },
  serverAsked: (address: string): number => servers.get(address)?.asked ?? 0,
  /** The most questions that it had at a time and had not answered. */
  mostWaiting: (address: string): number => servers.get(address)?.most ?? 0,

  /** Opens connections that say nothing. @returns how many stand after a while */
  async hold(count: number): Promise<number> {
    for (let each = 0; each < count; each++) {
      const socket = connect(53, '127.0.0.11');
      holding.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => holding.delete(socket));
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    return holding.size;
  },
  held: (): number => holding.size,
  /** Asks many questions on one connection before it reads. @returns how many answers came */
  pipeline(name: string, count: number): Promise<number> {
    const query = encode({ type: 'query', id: 5, flags: 0x100, questions: [{ type: 'A', name }] });
    const framed = Buffer.concat([Buffer.of(query.length >> 8, query.length & 255), query]);
    return new Promise((resolve) => {
      let received = Buffer.alloc(0);
      const socket = connect(53, '127.0.0.11', () => {
        socket.end(Buffer.concat(Array.from({ length: count }, () => framed)));
      });
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
      });
      socket.on('close', () => {
        let answers = 0;
        for (let at = 0; at + 2 <= received.length; at += 2 + received.readUInt16BE(at))
          answers += 1;
        resolve(answers);
      });
    });
  },

  /** Asks as fast as answers come, some at a time. @returns answers, and milliseconds of each */
  async load(name: string, atOnce: number, seconds: number) {
    // As the resolver has it, so that other work of the machine comes between the two less often.
    setPriority(-10);
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.connect(53, '127.0.0.11', resolve));
    const sentMs = new Float64Array(0x1_0000);
    const times: number[] = [];
    let id = 0;
    let lost = 0;
    const question = encode({
      type: 'query',
      id: 0,
      flags: 0x100,
      questions: [{ type: 'A', name }],
    });
    const send = () => {
      id = (id + 1) & 0xffff;
      const bytes = Buffer.from(question);
      bytes.writeUInt16BE(id, 0);
      sentMs[id] = performance.now();
      socket.send(bytes);
    };
    const startMs = performance.now();
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (performance.now() - startMs > seconds * 1000) {
          clearInterval(timer);
          resolve();
        }
      }, 20);
      socket.on('message', (reply) => {
        const at = reply.readUInt16BE(0);
        if (reply.readUInt16BE(6) === 0) lost += 1;
        times.push(performance.now() - sentMs[at]!);
        send();
      });
      for (let each = 0; each < atOnce; each++) send();
    });
    const tookMs = performance.now() - startMs;
    socket.close();
    times.sort((a, b) => a - b);
    const at = (part: number) => times[Math.floor(times.length * part)] ?? 0;
    return {
      answers: times.length,
      perSecond: (times.length / tookMs) * 1000,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      empty: lost,
    };
  },
};
export type NamesOrders = typeof handlers;

async function ask({ name, type = 'A', transport = 'udp', udpPayloadSize, timeoutMs = 3000 }: Ask) {
  const query = encode({
    type: 'query',
    id: 1 + Math.floor(Math.random() * 65_000),
    flags: 0x100,
    questions: [{ type: type as 'A', name }],
    ...(udpPayloadSize !== undefined && {
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ],
    }),
  } as Packet);
  const bytes = Buffer.from(await raw(query, transport, timeoutMs), 'hex');
  if (bytes.length === 0) throw new Error(`no answer for ${name}`);
  if (bytes.readUInt16BE(0) !== query.readUInt16BE(0)) throw new Error('another id');
  const reply = decode(bytes) as DecodedPacket & { rcode: string };
  const answers = reply.answers ?? [];
  return {
    rcode: reply.rcode,
    isTruncated: reply.flag_tc,
    bytes: bytes.length,
    data: answers.map((one) => String((one as { data?: unknown }).data)),
    ttls: answers.map((one) => ('ttl' in one ? (one.ttl ?? 0) : 0)),
    hasEdns: (reply.additionals ?? []).some((one) => one.type === 'OPT'),
  };
}

function raw(bytes: Buffer, transport: 'udp' | 'tcp', timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    if (transport === 'udp') {
      const socket = createSocket('udp4');
      const timer = setTimeout(() => end(Buffer.alloc(0)), timeoutMs);
      const end = (reply: Buffer) => {
        clearTimeout(timer);
        socket.close();
        resolve(reply.toString('hex'));
      };
      socket.on('message', end);
      socket.on('error', (error) => {
        clearTimeout(timer);
        socket.close();
        reject(error);
      });
      socket.connect(53, '127.0.0.11', () => socket.send(bytes));
      return;
    }
    const socket = connect(53, '127.0.0.11');
    let received = Buffer.alloc(0);
    const timer = setTimeout(() => end(Buffer.alloc(0)), timeoutMs);
    const end = (reply: Uint8Array) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.from(reply).toString('hex'));
    };
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.on('close', () => end(Buffer.alloc(0)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length > 2 && received.length >= 2 + received.readUInt16BE(0))
        end(received.subarray(2, 2 + received.readUInt16BE(0)));
    });
    socket.on('connect', () =>
      socket.write(Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes])),
    );
  });
}

process.on(
  'message',
  ({ id, order, args }: { id: number; order: keyof NamesOrders; args: never[] }) => {
    void (async () => {
      try {
        const handler = handlers[order] as (...given: never[]) => unknown;
        process.send!({ id, value: await handler(...args) });
      } catch (error) {
        const { message, code, stack } = error as NodeJS.ErrnoException;
        process.send!({ id, error: { message, code, stack } });
      }
    })();
  },
);
process.on('disconnect', () => process.exit(0));
process.send!({ ready: true });
