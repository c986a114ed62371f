import { randomInt } from 'node:crypto';
import { daemonOptions } from '../../src/daemon/options.js';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeInitRequest,
  decodeJoinRequest,
  type Logger,
  silentLogger,
  systemClock,
} from '@swarm/api';
import type { Runtime } from '@swarm/worker';
import { LocalApi } from '../../src/api/local-api.js';
import { NodeDaemon } from '../../src/node-daemon.js';
import { readyRuntime, type RuntimeSource } from '../../src/tasks/runtime-source.js';

/** A node's daemon in this process, on loopback, with a runtime that runs no tasks. */
export interface TestNode {
  readonly daemon: NodeDaemon;
  readonly api: LocalApi;
  readonly folder: string;
  /** `host:port` of its managers' port. */
  readonly address: string;
  readonly log: string[];
  /** Tasks in the runtime. */
  readonly tasks: Set<string>;
  /** @param change fields of the request */
  init(change?: object): Promise<string>;
  join(token: string, remote: string, advertise?: string): Promise<void>;
  /** Stops this daemon; its folder stays until the end of the test. */
  end(): Promise<void>;
  /** Stops this daemon, and starts another on the same folder. */
  restart(): Promise<TestNode>;
  /** Starts another daemon on the folder of this one, which has ended, at another port. */
  startElsewhere(): Promise<TestNode>;
}

/** What a node lives with: a test, or nothing. */
export interface Lifetime {
  teardown(end: () => Promise<void>): void;
}

/** What nodes of a test share. */
export interface NodeOptions {
  readonly folder?: string;
  readonly address?: string;
  readonly start?: boolean;
  /** Whether the daemon is started with the address, which then replaces the one in the folder. */
  readonly isMoved?: boolean;
  /** Tasks that cannot be removed. */
  readonly stuck?: readonly string[];
  /** Provides the runtime; by default at once. */
  readonly runtime?: (runtime: Runtime) => RuntimeSource;
}

/** Makes a node that stops at the end of its test. */
export async function testNode(t: Lifetime, options: NodeOptions = {}): Promise<TestNode> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'swarm-daemon-')));
  const address = options.address ?? `127.0.0.1:${await freePort()}`;
  const log: string[] = [];
  const tasks = new Set<string>();
  const clock = systemClock();
  const logger = recording(log);
  const daemon = new NodeDaemon({
    dataRoot: folder,
    clock,
    logger,
    random: Math.random,
    randomBytes,
    hostname,
    networkInterfaces,
    // Not imported above: a test looks at what a worker loads.
    issuer: async () => (await import('@swarm/manager/assembly')).x509Issuer,
    tasks: {
      runtime: (options.runtime ?? readyRuntime)(emptyRuntime(tasks, options.stuck ?? [])),
      mesh: 'userspace',
      meshBind: ['127.0.0.1'],
      labels: {},
    },
    ...(options.isMoved === true && {
      addresses: { listenAddr: address, advertiseAddr: address, dataPathAddr: '' },
    }),
    onFatal: (error) => log.push(`fatal: ${(error as Error).message}`),
  });
  const api = new LocalApi({ control: daemon, clock, randomBytes, logger, version: '0' });
  daemon.attach(api);
  if (options.start !== false) await daemon.start();
  let ended = false;
  const end = async () => {
    if (ended) return;
    ended = true;
    await daemon.close();
    await api.close();
  };
  t.teardown(async () => {
    await end();
    await rm(folder, { recursive: true, force: true });
  });
  const node: TestNode = {
    daemon,
    api,
    folder,
    address,
    log,
    tasks,
    init: (change = {}) =>
      daemon.init(
        decodeInitRequest({ ListenAddr: address, AdvertiseAddr: address, Spec: {}, ...change }),
      ),
    join: (JoinToken, remote, AdvertiseAddr = address) =>
      daemon.join(
        decodeJoinRequest({ ListenAddr: address, AdvertiseAddr, RemoteAddrs: [remote], JoinToken }),
      ),
    end,
    async restart() {
      await end();
      return testNode(t, { ...options, folder, address });
    },
    async startElsewhere() {
      await end();
      const { address: _address, ...rest } = options;
      return testNode(t, { ...rest, folder, isMoved: true });
    },
  };
  return node;
}

/** A join token of a manager's cluster. */
export function tokenOf(node: TestNode, role: 'Manager' | 'Worker'): string {
  return node.daemon.manager()!.store.cluster()!.JoinTokens[role];
}

function emptyRuntime(tasks: Set<string>, stuck: readonly string[]): Runtime {
  const none = () => Promise.reject(new Error('this runtime runs no tasks'));
  return {
    kind: 'process',
    describe: async () => ({
      kind: 'process',
      hostname: 'test',
      platform: { Architecture: 'x86_64', OS: 'linux' },
      resources: { NanoCPUs: 1e9, MemoryBytes: 1e9 },
      engineVersion: '0',
      capabilities: ['host-commands'],
    }),
    list: async () => [],
    listSandboxes: async () => [...tasks],
    createSandbox: none,
    async stopSandbox(id) {
      if (stuck.includes(id)) throw new Error('stuck');
    },
    async removeSandbox(id) {
      tasks.delete(id);
    },
    prepare: none,
    start: none,
    wait: none,
    stop: none,
    remove: none,
    async *logs() {},
    pid: () => undefined,
    close: async () => {},
  };
}

function recording(lines: string[]): Logger {
  const write = (fields: unknown, message?: string) =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  const logger = {
    ...silentLogger,
    info: write,
    warn: write,
    error: write,
    child: () => logger,
  } as Logger;
  return logger;
}

/** Ports for tests: below those that the kernel gives to connections (32768), which any process may take at any time. */
const TEST_PORT_FIRST = 12_000;
const TEST_PORTS = 8_000;

/** A port of the loopback that nobody has, and that no connection will be given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = TEST_PORT_FIRST + randomInt(TEST_PORTS);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export { daemonOptions };
