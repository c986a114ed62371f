import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { type Logger, silentLogger } from '@swarm/api';
import { LOCAL, type NodeIdentity } from '@swarm/identity';
import {
  type Admitted,
  Manager,
  ManagerApi,
  type ManagerOptions,
  type PortRoutes,
  StoreStateMachine,
} from '@swarm/manager/assembly';
import { CLUSTER_ID, type MemoryDatabase } from '@swarm/manager/testing';
import type { MemoryDisk, MemoryNetwork } from '@swarm/raft';
import { MemoryStorage } from '@swarm/raft';
import type { VirtualClock } from '@swarm/sim';
import { LocalApi } from '../../src/api/local-api.js';

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
  readonly logger?: Logger;
}

/** A manager and its API without anything of the host: no file, no socket, no real timer. */
export class InProcessManager {
  readonly manager: Manager;
  /** The routes that the port for nodes would serve. */
  readonly routes: PortRoutes;
  readonly #api: LocalApi;

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
        raftId,
        advertiseAddress: '198.18.0.1:2377',
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
        renew() {},
        close() {},
      }),
      calls: { call: cut },
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
    return new InProcessManager(manager, routes!, api);
  }

  private constructor(manager: Manager, routes: PortRoutes, api: LocalApi) {
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

  async stop(): Promise<void> {
    await this.manager.stop();
    await this.#api.close();
  }
}

export type { Admitted };
