import { freePort } from '../support/nodes.js';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  addressPools,
  type Clock,
  type ClusterSpec,
  type Logger,
  newRaftId,
  silentLogger,
  systemClock,
} from '@swarm/api';
import { WebSocket } from 'ws';
import { type NodeIdentity, tlsServerOptions } from '@swarm/identity';
import { LocalApi } from '../../src/api/local-api.js';
import { openManager } from '../../src/open-manager.js';
import { type Manager, ManagerApi, x509Issuer } from '@swarm/manager/assembly';
import type { RootCA } from '@swarm/manager';
import { CLUSTER_ID, identity, root } from '@swarm/manager/testing';

const SPEC: ClusterSpec = {
  Name: 'default',
  Labels: {},
  Orchestration: {},
  Raft: {},
  Dispatcher: {},
  CAConfig: {},
  TaskDefaults: {},
  EncryptionConfig: { AutoLockManagers: false },
};

/** The answer to a request. */
export interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly message: string;
  readonly json: unknown;
}

/** A line of the log. */
export interface Line {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A manager that leads its own cluster on loopback, with a wall clock that can be set. */
export class PortWorld {
  readonly manager: Manager;
  readonly authority: RootCA;
  readonly port: number;
  readonly raftId: number;
  readonly lines: Line[];
  readonly time: { offsetMs: number };
  #own: NodeIdentity;
  readonly #folder: string;

  private constructor(
    manager: Manager,
    authority: RootCA,
    own: NodeIdentity,
    rest: {
      port: number;
      raftId: number;
      lines: Line[];
      time: { offsetMs: number };
      folder: string;
    },
  ) {
    this.manager = manager;
    this.authority = authority;
    this.#own = own;
    this.port = rest.port;
    this.raftId = rest.raftId;
    this.lines = rest.lines;
    this.time = rest.time;
    this.#folder = rest.folder;
  }

  static async open(): Promise<PortWorld> {
    const folder = await mkdtemp(join(tmpdir(), 'swarm-assembly-'));
    const time = { offsetMs: 0 };
    const clock: Clock = { ...systemClock(), now: () => Date.now() + time.offsetMs };
    const lines: Line[] = [];
    const logger = recording(lines);
    const port = await freePort();
    const authority = await root(Date.now());
    const own = await identity(authority, Date.now(), { nodeId: 'first', role: 'manager' });
    const raftId = newRaftId(randomBytes);
    const holder: { world?: PortWorld } = {};
    const api = new LocalApi({
      control: {
        info: () => ({
          state: 'active',
          nodeId: 'first',
          nodeAddr: '127.0.0.1',
          controlAvailable: true,
          remoteManagers: [],
          error: '',
        }),
        init: () => Promise.reject(new Error('not here')),
        join: () => Promise.reject(new Error('not here')),
        leave: () => Promise.reject(new Error('not here')),
        manager: () => holder.world?.manager,
      },
      clock,
      randomBytes,
      logger,
      version: '0',
    });
    const manager = await openManager({
      self: {
        nodeId: 'first',
        clusterId: CLUSTER_ID,
        instance: 'run1',
        raftId,
        advertiseAddress: `127.0.0.1:${port}`,
        listen: { host: '127.0.0.1', port },
        folder,
        identity: () => holder.world?.own ?? own,
      },
      start: { kind: 'found' },
      clock,
      logger,
      random: Math.random,
      randomBytes,
      issuer: x509Issuer,
      api: api.server,
      onFatal(error) {
        throw error;
      },
    });
    const self = { nodeId: 'first', clusterId: CLUSTER_ID };
    api.serveManager(new ManagerApi({ ...api.shared, manager, self }));
    const world = new PortWorld(manager, authority, own, { port, raftId, lines, time, folder });
    holder.world = world;
    await manager.found({
      root: authority,
      spec: SPEC,
      availability: 'active',
      hostname: 'first',
      dataPathPort: 4789,
      addressPools: addressPools([], 0),
      randomBytes,
    });
    return world;
  }

  /** The manager's own identity. */
  get own(): NodeIdentity {
    return this.#own;
  }

  async close(): Promise<void> {
    await this.manager.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Renews the manager's certificate, as its daemon does. */
  async renew(): Promise<void> {
    this.#own = await identity(this.authority, Date.now(), { nodeId: 'first', role: 'manager' });
    this.manager.renewIdentity();
  }

  /** A certificate of this cluster. */
  certificate(
    nodeId: string,
    role: 'manager' | 'worker',
    options: { nowMs?: number; lifeMs?: number } = {},
  ): Promise<NodeIdentity> {
    const { nowMs = Date.now(), lifeMs } = options;
    return identity(this.authority, nowMs, { nodeId, role }, lifeMs);
  }

  /** Sends one request on a new connection. */
  request(
    who: NodeIdentity | undefined,
    method: string,
    path: string,
    options: { body?: string | Buffer; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { body, headers = {} } = options;
      const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
      const call = httpsRequest(
        {
          ...this.#tls(who),
          port: this.port,
          host: '127.0.0.1',
          method,
          path,
          agent: false,
          headers: { ...length, ...headers },
        },
        (answer) => {
          let text = '';
          answer.setEncoding('utf8');
          answer.on('data', (chunk: string) => {
            text += chunk;
          });
          answer.on('error', reject);
          answer.on('end', () => resolve(answerOf(answer, text)));
        },
      );
      call.on('error', reject);
      call.end(body);
    });
  }

  /** Opens a WebSocket; the answer when it was refused. */
  upgrade(
    who: NodeIdentity | undefined,
    path: string,
    {
      protocols = [],
      headers = {},
    }: { protocols?: string[]; headers?: Record<string, string> } = {},
  ): Promise<WebSocket | Answer> {
    return new Promise((resolve, reject) => {
      const url = `wss://127.0.0.1:${this.port}${path}`;
      const socket = new WebSocket(url, protocols, { ...this.#tls(who), headers });
      socket.on('open', () => resolve(socket));
      socket.on('unexpected-response', (call, answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('close', () => {
          call.destroy();
          resolve(answerOf(answer, text));
        });
      });
      socket.on('error', reject);
    });
  }

  /** Whether a line of the log matches, with these fields. */
  said(message: RegExp, fields: Readonly<Record<string, unknown>> = {}): boolean {
    return this.lines.some(
      (line) =>
        message.test(line.message) &&
        Object.entries(fields).every(([name, value]) => line.fields[name] === value),
    );
  }

  #tls(who: NodeIdentity | undefined) {
    if (who === undefined) return { rejectUnauthorized: false };
    const { key, cert } = tlsServerOptions(who);
    return { key, cert, rejectUnauthorized: false };
  }
}

function answerOf(
  answer: { statusCode?: number | undefined; headers: NodeJS.Dict<string | string[]> },
  text: string,
): Answer {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return {
    status: answer.statusCode ?? 0,
    code: answer.headers['x-swarm-error-code'] as string | undefined,
    message: String((json as { message?: unknown } | undefined)?.message),
    json,
  };
}

function recording(lines: Line[]): Logger {
  const at = (level: string) => (fields: unknown, message?: string) => {
    lines.push({ level, fields: fields as Line['fields'], message: message ?? '' });
  };
  const logger = {
    ...silentLogger,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  } as Logger;
  return logger;
}
