/** Runs inside a network namespace of the lab and does what its parent orders over IPC. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import {
  type Logger,
  type MeshMember,
  type MeshPeer,
  type MeshPort,
  parseIpAddress,
  systemClock,
} from '@swarm/api';
import { Subnet } from '@swarm/api';
import { readAttachment } from '../../src/attachment.js';
import { type CheckedPeer, readPeer } from '../../src/checked.js';
import {
  createMesh,
  type Mesh,
  systemKernel,
  systemSockets,
  type TaskRefusals,
} from '../../src/index.js';
import { IpvsSocket } from '../../src/balancer/ipvs/ipvs-socket.js';
import { type TunnelKeyPair, parseTunnelKey } from '../../src/encryption/keys.js';
import { type EncryptionOptions, openEncryption } from '../../src/encryption/open-encryption.js';
import type { TrafficEncryption } from '../../src/encryption/traffic-encryption.js';
import { DEFAULT_INGRESS } from '../../src/ingress.js';
import { openPacketFilter } from '../../src/kernel/open-packet-filter.js';
import { DEFAULT_DATA_PATH_PORT, parseNetworkId, parseTaskId } from '../../src/layout.js';
import { ipvsParts, type MeshParts, nftablesParts, userspaceParts } from '../../src/mesh-parts.js';
import type { NetworkView } from '../../src/overlay/network-view.js';
import { StateReader } from '../../src/state-reader.js';
import type { Answer, Destination, LabNetwork, LoadResult, Orders } from './protocol.js';

const DEFAULT_TIMEOUT_MS = 8000;
type Handlers = {
  [K in keyof Orders]: (
    ...args: Parameters<Orders[K]>
  ) => ReturnType<Orders[K]> | Promise<ReturnType<Orders[K]>>;
};

/** Of links made without a tunnel. */
const LINK_MTU_BYTES = 1450;

const readPlace = (place: MeshPeer): CheckedPeer =>
  readPeer(place, Subnet.of(DEFAULT_INGRESS.subnet));
const byNode = (peers: readonly MeshPeer[]): ReadonlyMap<string, CheckedPeer> =>
  new Map(peers.map((peer) => [peer.nodeId, readPlace(peer)]));

let mesh: Mesh | undefined;
let parts: MeshParts;
let encryption: TrafficEncryption;
let self: CheckedPeer;
let reader: StateReader;
const logged: string[] = [];
const servers: (Server | UdpSocket)[] = [];
/** Connections whose client has ended its half and waits. */
const held = new Set<Socket>();
const connections = new Map<
  number,
  { socket: Socket; lines: AsyncIterator<string>; reader: Interface }
>();
let nextConnection = 1;
let load:
  | {
      stop: boolean;
      done: Promise<void>;
      ok: number;
      errors: string[];
      byTask: Record<string, number>;
    }
  | undefined;

const keep = (level: string) => (fields: object, message: string) => {
  const error = (fields as { err?: Error }).err;
  logged.push(`${level}: ${message}${error === undefined ? '' : ` (${error.message})`}`);
};
const logger: Logger = {
  debug() {},
  info() {},
  warn: keep('warn'),
  error: keep('error'),
  child: () => logger,
};

async function dial(to: Destination): Promise<Socket> {
  const socket = connect({
    host: to.host,
    port: to.port,
    allowHalfOpen: true,
    ...(to.localPort === undefined ? {} : { localPort: to.localPort }),
    ...(to.localAddress === undefined ? {} : { localAddress: to.localAddress }),
  });
  const timeoutMs = to.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`TIMEOUT after ${timeoutMs} ms`)));
  await once(socket, 'connect');
  return socket;
}

async function open(to: Destination): Promise<number> {
  const socket = await dial(to);
  const reader = createInterface({ input: socket });
  const id = nextConnection++;
  connections.set(id, { socket, reader, lines: reader[Symbol.asyncIterator]() });
  return id;
}

async function again(id: number): Promise<Answer> {
  connections.get(id)!.socket.write('who\n');
  return JSON.parse(await line(id)) as Answer;
}

async function line(id: number): Promise<string> {
  const { socket, lines } = connections.get(id)!;
  const failed = new Promise<never>((_, reject) => {
    if (socket.errored) reject(socket.errored);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('CLOSED')));
  });
  const next = await Promise.race([lines.next(), failed]);
  if (next.done === true) throw socket.errored ?? new Error('ENDED before the answer');
  return next.value;
}

function end(id: number): void {
  const connection = connections.get(id);
  connections.delete(id);
  connection?.socket.on('error', () => {});
  connection?.reader.close();
  connection?.socket.destroy();
}

async function ask(to: Destination): Promise<Answer> {
  const id = await open(to);
  try {
    return await again(id);
  } finally {
    const socket = connections.get(id)?.socket;
    // Ended by us without TIME_WAIT on the server's side: closed like a client does.
    socket?.end();
    end(id);
  }
}

function makeTunnelKeys(): TunnelKeyPair {
  const { x, d } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  return {
    publicKey: parseTunnelKey(Buffer.from(x!, 'base64url').toString('base64'))!,
    privateKey: Buffer.from(d!, 'base64url'),
  };
}

function newEncryption(): EncryptionOptions {
  return { keys: makeTunnelKeys(), newEpoch: () => randomBytes(8).toString('hex') };
}

/** An encrypted network as the parts see it. */
function viewOf(
  { subnets, members }: LabNetwork,
  place: number,
  peers: ReadonlyMap<string, CheckedPeer>,
): NetworkView {
  const networkId = parseNetworkId(`network${place}`)!;
  return {
    overlay: {
      ...{ networkId, name: networkId, isInternal: false, isEncrypted: true, mtuBytes: undefined },
      subnets: subnets.map((subnet) => Subnet.of(subnet)),
    },
    services: new Map(),
    members: new Map(
      members.map(({ nodeId, addresses }, i) => {
        const taskId = parseTaskId(`task${place}${i}`)!;
        const member = {
          ...{ taskId, nodeId, serviceId: '', names: [] },
          ...{ networks: new Map(), serves: true, weight: 1 },
        };
        const own = addresses.map((address) => parseIpAddress(address)!);
        return [taskId, { member, addresses: own, peer: peers.get(nodeId) }];
      }),
    ),
  };
}

const refusals: TaskRefusals[] = [];

/** Reads what the PROXY protocol puts before a connection's first byte, apart from our own writer. */
function takeProxyHeader(
  text: string,
): { readonly from: string; readonly length: number } | undefined {
  const [line, from, port] = /^PROXY TCP[46] (\S+) \S+ (\d+) \d+\r\n/.exec(text) ?? [];
  if (line !== undefined) return { from: `v1 ${from} ${port}`, length: line.length };
  if (!text.startsWith('\r\n\r\n\0\r\nQUIT\n')) return undefined;
  const bytes = Buffer.from(text, 'latin1');
  const size = bytes[13] === 0x11 ? 4 : 16;
  const source = bytes.subarray(16, 16 + size);
  const shown = size === 4 ? [...source].join('.') : source.toString('hex');
  return {
    from: `v2 ${shown} ${bytes.readUInt16BE(16 + 2 * size)}`,
    length: 16 + bytes.readUInt16BE(14),
  };
}

/** Serves TCP and UDP at one address. */
async function serveOn(name: string, port: number, host: string): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let uploaded = 0;
    let expected = 0;
    let text = '';
    let isHeld = false;
    let proxied: string | undefined;
    socket.on('error', () => {});
    socket.on('close', () => held.delete(socket));
    socket.on('end', () => {
      if (isHeld) {
        held.add(socket);
        socket.write('held\n');
      } else socket.end(`bye from ${name}\n`);
    });
    socket.on('data', (chunk) => {
      if (expected > 0) {
        uploaded += chunk.length;
      } else {
        text += chunk.toString('latin1');
        if (proxied === undefined) {
          const header = takeProxyHeader(text);
          proxied = header?.from;
          text = text.slice(header?.length ?? 0);
        }
        for (let at = text.indexOf('\n'); at >= 0 && expected === 0; at = text.indexOf('\n')) {
          const line = text.slice(0, at);
          text = text.slice(at + 1);
          if (line === 'stall') {
            socket.pause();
          } else if (line === 'hold') {
            isHeld = true;
          } else if (line.startsWith('take ')) {
            expected = Number(line.slice(5));
            uploaded = text.length;
          } else {
            const address = socket.remoteAddress ?? '';
            const seen = { task: name, address, port: socket.remotePort, proxied };
            socket.write(`${JSON.stringify(seen)}\n`);
          }
        }
      }
      if (expected > 0 && uploaded >= expected) socket.end(`${uploaded}\n`);
    });
  });
  server.listen({ port, host, ipv6Only: true });
  await once(server, 'listening');
  const udp = host.includes(':')
    ? createSocket({ type: 'udp6', ipv6Only: true })
    : createSocket('udp4');
  udp.on('message', (_, from) =>
    udp.send(
      JSON.stringify({ task: name, address: from.address, port: from.port }),
      from.port,
      from.address,
    ),
  );
  udp.bind(port, host);
  await once(udp, 'listening');
  servers.push(server, udp);
}

const handlers: Handlers = {
  async createMesh({ withoutLibrary, encrypts, ...options }) {
    const kernel = systemKernel();
    mesh = await createMesh({
      ...options,
      kernel:
        withoutLibrary === true
          ? { ...kernel, packetFilters: kernel.packetFilters.slice(-1) }
          : kernel,
      sockets: systemSockets(),
      random: Math.random,
      logger,
      clock: systemClock(),
      ...(encrypts === true && { encryption: newEncryption() }),
    });
    mesh.watchRefusals((one) => refusals.push(one));
    return mesh.backend;
  },
  start: (place) => mesh!.start(place),
  encryption: () => mesh!.encryption,
  async apply(state) {
    const before = performance.now();
    await mesh!.apply(state);
    return { generation: mesh!.generation, ms: performance.now() - before };
  },
  attach: (task) => mesh!.attach(task),
  adopt: (task) => mesh!.adopt(task),
  detach: (taskId) => mesh!.detach(taskId),
  retain: (taskIds) => mesh!.retain(new Set(taskIds)),
  connections: (task) => mesh!.connections(task),
  listens: (task) => mesh!.listens(task),
  servesIpv6: (task) => mesh!.servesIpv6(task),
  conflicts: () => mesh!.conflicts,
  paths: () => mesh!.paths,
  refusals: () => refusals,
  close: (options) => mesh!.close(options),
  async openEncryption() {
    const kernel = systemKernel();
    const opened = await openPacketFilter(kernel, logger);
    if ('reason' in opened) throw new Error(opened.reason);
    encryption = await openEncryption({
      ...{ kernel, logger, nft: opened.nft, clock: systemClock() },
      dataPathPort: DEFAULT_DATA_PATH_PORT,
      ...newEncryption(),
    });
    const { offer, problem } = encryption;
    return offer === undefined ? { problem } : { offer, problem };
  },
  startEncryption: (place) => encryption.start(readPlace(place), LINK_MTU_BYTES),
  encrypt({ peers, networks }) {
    const reached = byNode(peers);
    return encryption.reach({
      peers: reached,
      networks: new Map(
        networks.map((network, i) => {
          const view = viewOf(network, i, reached);
          return [view.overlay.networkId, view];
        }),
      ),
      touched: undefined,
    });
  },
  encryptedDevice: (peer) => encryption.deviceTo(readPlace(peer)) ?? '',
  async changeKeys() {
    await encryption.changeKeys(makeTunnelKeys());
    return encryption.offer!;
  },
  async repairEncryption() {
    const isDamaged = await encryption.repair();
    const { offer } = encryption;
    return offer === undefined ? { isDamaged } : { offer, isDamaged };
  },
  closeEncryption: (options) => encryption.close(options),
  async createParts({ backend, bindAddresses = [] }) {
    const options = {
      kernel: systemKernel(),
      sockets: systemSockets(),
      clock: systemClock(),
      random: Math.random,
      dataPathPort: DEFAULT_DATA_PATH_PORT,
      bindAddresses,
      udpIdleMs: 60_000,
      logger,
    };
    if (backend === 'userspace') {
      parts = userspaceParts(options);
    } else {
      const opened = await openPacketFilter(options.kernel, logger);
      if ('reason' in opened) throw new Error(opened.reason);
      const isIpvs = backend === 'ipvs';
      const hasIpv6 = opened.family === 'inet';
      parts = isIpvs
        ? ipvsParts(options, opened, await IpvsSocket.open(options.kernel, hasIpv6))
        : nftablesParts(options, opened);
    }
    reader = new StateReader({ ingress: Subnet.of(DEFAULT_INGRESS.subnet), logger });
  },
  async startParts(place) {
    self = readPlace(place);
    parts.links.start(self, DEFAULT_INGRESS);
    await parts.balancer.start(self, DEFAULT_INGRESS);
    await parts.transaction.start(self, DEFAULT_INGRESS);
    await parts.transaction.commit();
  },
  startTunnel: (place) => parts.tunnel.start(readPlace(place), DEFAULT_INGRESS),
  tunnelMtuBytes: () => parts.tunnel.mtuBytes,
  reach: async (peers) => [...(await parts.tunnel.reach(byNode(peers)))],
  prune: (peers) => parts.tunnel.prune(byNode(peers)),
  isRetryDue: () => parts.tunnel.isRetryDue,
  repairTunnel: () => parts.tunnel.repair(),
  closeTunnel: () => parts.tunnel.close(),
  async balance(slice) {
    await parts.balancer.apply({
      ...reader.read({ ...slice, generation: 1 }, self, true),
      touched: undefined,
    });
    await parts.transaction.commit();
    await parts.balancer.settle();
  },
  async openHostPorts(task) {
    const { taskId, attachments, hostPorts } = readAttachment(task);
    const addresses = attachments.flatMap((one) => one.addresses);
    await parts.balancer.attach({ taskId, addresses, hostPorts, servesIpv6: false });
  },
  closeHostPorts: (taskIds) => parts.balancer.detach(taskIds.map((id) => parseTaskId(id)!)),
  link: (task) => parts.links.attach({ ...readAttachment(task), mtuBytes: LINK_MTU_BYTES }),
  unlink: (taskId) => parts.links.detach(parseTaskId(taskId)!),
  links: async () =>
    (await parts.links.list()).map(({ taskId, networkId, addresses }) => ({
      addresses,
      ...(taskId === undefined ? {} : { taskId }),
      ...(networkId === undefined ? {} : { networkId }),
    })),
  retainLinks: (taskIds) => parts.links.retain(new Set(taskIds)),
  probeConnections: (task) => parts.probe.connections(task),
  probeListens: (task) => parts.probe.listens(task),
  async closeParts() {
    await parts.balancer.close({ keep: false });
    await parts.links.retain(new Set());
    await parts.transaction.close({ keep: false });
  },
  logged: () => logged,
  async serve({ name, port, host }) {
    for (const one of host === undefined ? ['0.0.0.0', '::'] : [host])
      await serveOn(name, port, one);
  },
  unserve() {
    for (const server of servers.splice(0)) server.close();
  },
  ask,
  async askUdp(to) {
    const socket = createSocket(to.host.includes(':') ? 'udp6' : 'udp4');
    const timeout = AbortSignal.timeout(to.timeoutMs ?? 2000);
    try {
      if (to.localPort !== undefined) socket.bind(to.localPort);
      socket.connect(to.port, to.host);
      await once(socket, 'connect', { signal: timeout });
      const failed = once(socket, 'error').then(([error]) => {
        throw error;
      });
      socket.send('who');
      const [data] = await Promise.race([once(socket, 'message', { signal: timeout }), failed]);
      return JSON.parse(String(data)) as Answer;
    } finally {
      socket.close();
    }
  },
  open,
  again,
  async finish(id) {
    const { socket, lines } = connections.get(id)!;
    socket.end();
    return String((await lines.next()).value);
  },
  async halfClose(id) {
    const { socket } = connections.get(id)!;
    socket.write('hold\n');
    socket.end();
    await line(id);
  },
  line,
  tell(text) {
    for (const socket of held) socket.write(`${text}\n`);
  },
  release() {
    for (const socket of held) socket.end('released\n');
  },
  end,
  async upload(to) {
    const id = await open(to);
    const { socket, lines } = connections.get(id)!;
    socket.write(`take ${to.bytes}\n`);
    socket.write(Buffer.alloc(to.bytes, 'x'));
    const { value } = await lines.next();
    end(id);
    return Number(value);
  },
  async flood(to) {
    const socket = await dial(to);
    socket.write('stall\n');
    const chunk = Buffer.alloc(64 * 1024);
    let sent = 0;
    while (sent < to.bytes) {
      sent += chunk.length;
      if (socket.write(chunk)) continue;
      const drained = await Promise.race([
        once(socket, 'drain').then(() => true),
        new Promise((resolve) => setTimeout(resolve, 300, false)),
      ]);
      if (!drained) break;
    }
    socket.destroy();
    return sent;
  },
  loadStart(to) {
    const run = {
      stop: false,
      done: Promise.resolve(),
      ok: 0,
      errors: [] as string[],
      byTask: {} as Record<string, number>,
    };
    const worker = async (): Promise<void> => {
      while (!run.stop) {
        try {
          const { task } = await ask(to);
          run.ok++;
          run.byTask[task] = (run.byTask[task] ?? 0) + 1;
        } catch (error) {
          run.errors.push(String((error as NodeJS.ErrnoException).code ?? error));
        }
      }
    };
    run.done = Promise.all(Array.from({ length: to.workers }, worker)).then(() => {});
    load = run;
  },
  loadCounts: () => load?.byTask ?? {},
  async loadStop() {
    const run = load!;
    run.stop = true;
    await run.done;
    return { ok: run.ok, errors: run.errors, byTask: run.byTask } satisfies LoadResult;
  },
  async measureUpdates({ peers, ports: count, endpoints: size, rounds, isWhole = false }) {
    const endpoint = (port: number, i: number) => {
      const peer = peers[i % peers.length]!;
      const address = peer.subnet.replace('0/24', `${10 + Math.floor(i / peers.length)}`);
      return { taskId: `p${port}t${i}`, nodeId: peer.nodeId, address, port: 80 };
    };
    const make = (port: number, endpoints: number): MeshPort => ({
      protocol: 'tcp',
      publishedPort: 20_000 + port,
      serviceId: `s${port}`,
      endpoints: Array.from({ length: endpoints }, (_, i) => endpoint(port, i)),
    });
    let ports = Array.from({ length: count }, (_, port) => make(port, size));
    let generation = mesh!.generation + 1;
    await mesh!.apply({ generation, peers, ports });
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const changed = round % count;
      const endpoints = ports[changed]!.endpoints.length === size ? size - 1 : size;
      const port = make(changed, endpoints);
      if (isWhole) ports = ports.with(changed, port);
      else ports[changed] = port;
      const base = generation++;
      const before = performance.now();
      if (isWhole) await mesh!.apply({ generation, peers, ports });
      else {
        const delta = { base, generation, peers: [], removedPeers: [], removedPorts: [] };
        if (!(await mesh!.change({ ...delta, ports: [port] })))
          throw new Error('the mesh asks for a whole state');
      }
      times.push(performance.now() - before);
    }
    return times;
  },
  async measureConnects({ rounds, ...to }) {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const before = performance.now();
      const socket = await dial(to);
      times.push(performance.now() - before);
      // Without TIME_WAIT: thousands of these must not change what the next ones meet.
      socket.resetAndDestroy();
    }
    return times;
  },
  async measureVips({ peers, task, services: count, members: size, rounds }) {
    const networkId = task.attachments[0]!.networkId;
    const at = (number: number) =>
      `10.${16 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    const far = peers.slice(1);
    const services = Array.from({ length: count }, (_, i) => ({
      serviceId: `s${i}`,
      name: `s${i}`,
      networks: [{ networkId, vips: [at(512 + i)], aliases: [] }],
    }));
    const make = (i: number, offset: number, serves: boolean): MeshMember => ({
      taskId: `m${i}`,
      nodeId: far[i % far.length]!.nodeId,
      serviceId: `s${Math.floor(i / size)}`,
      names: [],
      networks: [{ networkId, addresses: [at(65_536 + i + offset)] }],
      serves,
    });
    let members = Array.from({ length: count * size }, (_, i) => make(i, 0, true));
    let generation = mesh!.generation;
    const apply = async (): Promise<number> => {
      generation += 1;
      const before = performance.now();
      await mesh!.apply({ generation, peers, ports: [], services, members });
      return performance.now() - before;
    };
    await mesh!.attach(task);
    const firstMs = await apply();
    const [serving, servingCpu, moving, attaching]: number[][] = [[], [], [], []];
    for (let round = 0; round < rounds; round++) {
      const i = ((round >> 1) % count) * size;
      members = members.with(i, make(i, 0, round % 2 === 1));
      const before = process.cpuUsage();
      serving!.push(await apply());
      const { user, system } = process.cpuUsage(before);
      servingCpu!.push((user + system) / 1000);
    }
    for (let round = 0; round < rounds; round++) {
      const i = ((round >> 1) % count) * size;
      members = members.with(i, make(i, round % 2 === 0 ? 200_000 : 0, true));
      moving!.push(await apply());
    }
    for (let round = 0; round < 10; round++) {
      const before = performance.now();
      await mesh!.attach(task);
      attaching!.push(performance.now() - before);
    }
    await mesh!.detach(task.taskId);
    await mesh!.apply({ generation: generation + 1, peers, ports: [] });
    return {
      firstMs,
      serving: serving!,
      servingCpu: servingCpu!,
      moving: moving!,
      attaching: attaching!,
    };
  },
  pid: () => process.pid,
  rssBytes: () => process.memoryUsage.rss(),
  processorMs() {
    const { user, system } = process.cpuUsage();
    return { user: user / 1000, system: system / 1000 };
  },
};

process.on(
  'message',
  ({ id, order, args }: { id: number; order: keyof Orders; args: unknown[] }) => {
    void (async () => {
      try {
        const handler = handlers[order] as (...args: unknown[]) => unknown;
        const value = await handler(...args);
        process.send!({ id, value });
      } catch (error) {
        const { message, code, stack } = error as NodeJS.ErrnoException;
        process.send!({ id, error: { message, code, stack } });
      }
    })();
  },
);
process.on('disconnect', () => process.exit(0));
process.send!({ ready: true });
