import { X509Certificate } from 'node:crypto';
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import {
  addressPools,
  dispatcherProtocols,
  type Logger,
  type NodeRole,
  PROGRAM,
  silentLogger,
} from '@swarm/api';
import { identify, LOCAL, type NodeIdentity, type Subject } from '@swarm/identity';
import {
  type CaContext,
  type CertificateIssuer,
  type Issued,
  Manager,
  ManagerApi,
  type ManagerOptions,
  MovedManagers,
  type PortRoutes,
  type RootCA,
  StoreStateMachine,
} from '@swarm/manager/assembly';
import { CLUSTER_ID, type MemoryDatabase } from '@swarm/manager/testing';
import { type MemoryDisk, MemoryNetwork, MemoryStorage } from '@swarm/raft';
import type { VirtualClock } from '@swarm/sim';
import type { AgentSocket } from '@swarm/worker';
import { LocalApi } from '../../src/api/local-api.js';
import { PairedSocket } from './paired-socket.js';

/** The spec of the clusters in these tests. */
const SPEC = {
  Name: 'default',
  Labels: {},
  Orchestration: { TaskHistoryRetentionLimit: 5 },
  Raft: { SnapshotInterval: 10_000, ElectionTick: 10, HeartbeatTick: 1 },
  Dispatcher: { HeartbeatPeriod: 1e9 },
  CAConfig: {},
  TaskDefaults: {},
  EncryptionConfig: { AutoLockManagers: false },
};

/** Raft's network, on this clock and this chance. */
export function memoryNetwork(clock: VirtualClock, random: () => number): MemoryNetwork {
  return new MemoryNetwork({
    schedule: (deliver) => void clock.setImmediate(deliver),
    clock,
    random,
  });
}

/** Issues texts that stand for certificates: no keys, no threads. */
export class ScriptedIssuer implements CertificateIssuer {
  /** Roles, in the order they were asked for. */
  readonly issued: NodeRole[] = [];

  createRoot(): Promise<RootCA> {
    return Promise.reject(new Error('the root comes from the test'));
  }

  async readRequest(csr: string): Promise<ArrayBuffer> {
    return Uint8Array.from(Buffer.from(csr)).buffer;
  }

  async issue(
    { clock }: CaContext,
    _root: RootCA,
    _publicKey: ArrayBuffer,
    { nodeId, role }: Subject,
    lifeMs: number,
  ): Promise<Issued> {
    this.issued.push(role);
    return { certificate: `certificate of ${nodeId}`, expiresAtMs: clock.now() + lifeMs };
  }
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it freely
  readonly json: any;
}

export interface InProcessOptions {
  readonly nodeId: string;
  readonly raftId: number;
  readonly start: ManagerOptions['start'];
  readonly identity: NodeIdentity;
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly random: () => number;
  readonly disk: MemoryDisk;
  readonly database: MemoryDatabase;
  readonly issuer: CertificateIssuer;
  readonly logger?: Logger;
  /** Where others reach it; default 198.18.0.1:2377. */
  readonly address?: string;
  /** The way to other managers; none by default. */
  readonly calls?: ManagerOptions['calls'];
}

/** A manager and its API without anything of the host: no file, no socket, no real timer. */
export class InProcessManager {
  readonly manager: Manager;
  /** The routes that the port for nodes would serve. */
  readonly routes: PortRoutes;
  readonly #api: LocalApi;
  readonly #clock: VirtualClock;
  readonly #randomBytes: (size: number) => Uint8Array;

  static async open(options: InProcessOptions): Promise<InProcessManager> {
    const { nodeId, raftId, clock, network, identity, random, disk, database } = options;
    const logger = options.logger ?? silentLogger;
    const randomBytes = (size: number) =>
      Uint8Array.from({ length: size }, () => Math.floor(random() * 256));
    const cut = () => Promise.reject(new Error('this manager is alone'));
    let routes: PortRoutes | undefined;
    const manager = await Manager.open({
      self: {
        nodeId,
        clusterId: CLUSTER_ID,
        instance: 'run1',
        raftId,
        advertiseAddress: options.address ?? '198.18.0.1:2377',
        identity: () => identity,
      },
      start: options.start,
      ...{ clock, logger, random, randomBytes },
      log: new MemoryStorage({ disk }),
      state: await StoreStateMachine.open({
        folder: '',
        openDatabase: async () => database,
        ...{ clock, logger },
      }),
      transport: network.join(raftId),
      port(served) {
        routes = served;
        return { listen: async () => {}, metrics: () => [], renew() {}, close: async () => {} };
      },
      link: () => ({
        answers: async () => false,
        reachable: () => undefined,
        forward: cut,
        post: cut,
        renew() {},
        close() {},
      }),
      calls: options.calls ?? { call: cut },
      moved: new MovedManagers(),
      issuer: options.issuer,
      onFatal(error) {
        throw error;
      },
    });
    const self = { nodeId, clusterId: CLUSTER_ID };
    const info = {
      state: 'active',
      nodeId,
      nodeAddr: '198.18.0.1',
      controlAvailable: true,
      remoteManagers: [],
      error: '',
    } as const;
    const api = new LocalApi({
      control: {
        info: () => info,
        init: cut,
        join: cut,
        leave: cut,
        manager: () => manager,
      },
      ...{ clock, randomBytes, logger, version: '0' },
    });
    api.serveManager(new ManagerApi({ ...api.shared, manager, self }));
    return new InProcessManager(manager, routes!, api, clock, randomBytes);
  }

  private constructor(
    manager: Manager,
    routes: PortRoutes,
    api: LocalApi,
    clock: VirtualClock,
    randomBytes: (size: number) => Uint8Array,
  ) {
    this.#randomBytes = randomBytes;
    this.#clock = clock;
    this.manager = manager;
    this.routes = routes;
    this.#api = api;
  }

  /** Passes one request of a local client to the API's handler. */
  ask(method: string, url: string, body?: object): Promise<Answer> {
    const text = body === undefined ? '' : JSON.stringify(body);
    const request = Object.assign(Readable.from(text === '' ? [] : [Buffer.from(text)]), {
      ...{ method, url, complete: true, httpVersionMajor: 1, httpVersionMinor: 1 },
      headers: { 'content-length': String(text.length) },
      socket: {},
    }) as unknown as IncomingMessage;
    const response = new ServerResponse(request);
    const chunks: Buffer[] = [];
    const socket = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(Buffer.from(chunk));
        done();
      },
    });
    response.assignSocket(socket as Socket);
    return new Promise((resolve) => {
      response.once('finish', () => {
        const said = Buffer.concat(chunks).toString();
        const content = said.slice(said.indexOf('\r\n\r\n') + 4);
        resolve({
          status: response.statusCode,
          json: content === '' ? undefined : JSON.parse(content),
        });
      });
      this.#api.server.handle(request, response, { principal: LOCAL });
    });
  }

  /** Writes the first objects of the cluster. */
  bootstrap(root: RootCA): Promise<void> {
    return this.manager.found({
      ...{ root, spec: SPEC, hostname: 'first', dataPathPort: 4789, availability: 'active' },
      addressPools: addressPools([], 0),
      randomBytes: this.#randomBytes,
    });
  }

  /** What a worker that joins asks of the port: `POST /ca/certificates`. */
  async requestCertificate(hostname: string): Promise<unknown> {
    const route = this.routes.node('POST', '/ca/certificates');
    const token = this.manager.store.cluster()?.JoinTokens.Worker;
    const body = { csr: `request of ${hostname}`, token, hostname, program: PROGRAM };
    const request = Object.assign(Readable.from([]), { headers: {} }) as unknown as IncomingMessage;
    return route?.handle({
      peer: { remoteAddress: '198.18.0.2' },
      request,
      response: new ServerResponse(request),
      raw: Buffer.from(JSON.stringify(body)),
      json: () => body,
    });
  }

  /** Opens a session to `/dispatcher`: admits the node by its certificate, as the port does, then takes it over. */
  dial({ certificate }: NodeIdentity): AgentSocket {
    const { authority, dispatcher, trust } = this.routes;
    const [near, far] = PairedSocket.pair(this.#clock, dispatcherProtocols(PROGRAM.Protocol)[0]!);
    const admit = async () => {
      const proof = identify(new X509Certificate(certificate), trust());
      const principal = await authority.admit(proof, 'UPGRADE /dispatcher');
      if (!('nodeId' in principal)) throw new Error('only nodes have sessions');
      return principal;
    };
    near.connect(async () => {
      const principal = await admit();
      return () =>
        dispatcher(far, {
          ...principal,
          remoteAddress: '198.18.0.1',
          protocol: PROGRAM.Protocol.Newest,
        });
    });
    return near;
  }

  async stop(): Promise<void> {
    await this.manager.stop();
    await this.#api.close();
  }
}
