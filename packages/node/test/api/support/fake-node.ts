import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ApiError,
  type InitRequest,
  type Logger,
  newId,
  PROGRAM,
  silentLogger,
  systemClock,
} from '@swarm/api';
import { LocalApi } from '../../../src/api/local-api.js';
import type { LocalNodeInfo, NodeControl } from '../../../src/api/node-control.js';
import { FORWARDED_HEADER, ManagerApi } from '@swarm/manager/assembly';
import type { ApiLimits } from '@swarm/manager';
import type { LogRecord, LogSelector, ManagerAccess, ManagerMember, Quorum } from '@swarm/manager';
import { type HttpLimits, proxyTo } from '@swarm/http';
import { EventFeed, nodeDraft, put, SetAside } from '@swarm/manager/testing';
import { createTestStore, type TestStore } from '@swarm/manager/testing';
import { call, type Reply, type Sent } from './client.js';

/** A self-signed certificate of 2026, made for tests; its key was thrown away. */
export const TEST_ROOT = `-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUH76931zXrOu04Xay2xFnCADxGxIwCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIc3dhcm0tY2EwHhcNMjYxMTIzMTk1MjIxWhcNNDYxMTE4MTk1
MjIxWjATMREwDwYDVQQDDAhzd2FybS1jYTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABH5NIe++tvpOXbmPSD5syIVNgS1+/3TIu65q10LwlXysj834SGFHXRqqFs6h
A2HjavaB1No+rcm1m15yU88aWLOjUzBRMB0GA1UdDgQWBBRSHVPxbQJeUdQik8bu
Ql/gbymxNjAfBgNVHSMEGDAWgBRSHVPxbQJeUdQik8buQl/gbymxNjAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQC20Cn85z5ZuQfyfnJzr5jWKWei
NkvC0pqcoODhuOr0gQIgZn12NfVt2r9Zgwk8J9R8VF2ME05L3UMgh/Qm21mkM5A=
-----END CERTIFICATE-----
`;

/** A daemon's part of the API, in memory. Its answers depend on the calls before. */
export class FakeNode implements NodeControl {
  readonly store: TestStore = createTestStore({ clock: systemClock() });
  readonly nodeId: string;
  state: LocalNodeInfo['state'] = 'inactive';
  isManager = false;
  leads = true;
  quorumState: Quorum = { state: 'ok' };
  /** Managers other than this one. */
  others: ManagerMember[] = [];
  /** The leader of the others, who go on without this one. */
  otherLeader: { nodeId: string; address: string } | undefined;
  /** Why another manager was not asked whether it leads. */
  timeProblem: string | undefined;
  /** Calls of `members`. */
  membersAsked = 0;
  /** Why changes of role do not go on. */
  readonly roleNotes = new Map<string, string>();
  logItems: LogRecord[] = [];
  logsEnded = 0;
  logError: Error | undefined;
  /** The last arguments of `logs`. */
  asked: { selector: LogSelector; options: unknown } | undefined;
  /** The leader's socket, for a follower. */
  leaderSocket: string | undefined;
  /** Aborts what is forwarded, as when another manager leads. */
  replaced = new AbortController();
  /** Requests that were sent on to a leader that leads no more. */
  turnedAway = 0;
  joins: unknown[] = [];
  joinNeverEnds = false;
  leaves: boolean[] = [];
  readonly engine?: { readonly socketPath: string };
  /** Set on a worker too; tests add to it. */
  readonly access: ManagerAccess = {
    store: this.store,
    events: new EventFeed(new SetAside(silentLogger), this.store),
    isLeader: () => this.leads && this.quorumState.state === 'ok',
    leader: () => this.#members().find((member) => member.leader),
    readBarrier: async () => {
      if (this.quorumState.state === 'lost') await new Promise(() => {});
    },
    members: () => this.#members(),
    roleNote: (nodeId) => this.roleNotes.get(nodeId),
    logs: (selector, options, signal) => this.#logs(selector, options, signal),
    ownLogs: ({ selector, options }, signal) => this.#logs(selector, options, signal),
    leaderAnswers: async () => this.leaderSocket !== undefined,
    forward: async ({ request, response }, body, { headers: more, keepsBack }) => {
      if (this.leaderSocket === undefined) throw new ApiError('NO_QUORUM', 'no leader');
      const headers = { ...more, [FORWARDED_HEADER]: this.nodeId };
      const target = { socketPath: this.leaderSocket, name: 'the leader', headers, body };
      const { signal } = this.replaced;
      this.replaced = signal.aborted ? new AbortController() : this.replaced;
      const way = { ...target, keepsBack, signal: this.replaced.signal };
      const kept = await proxyTo(way, request, response);
      if (kept !== undefined) this.turnedAway += 1;
      return kept;
    },
    mayStill: () => true,
    quorum: () => this.quorumState,
    otherLeader: () => this.otherLeader,
    timeProblem: () => this.timeProblem,
  };

  constructor(nodeId: string, engineSocket?: string) {
    this.nodeId = nodeId;
    if (engineSocket !== undefined) this.engine = { socketPath: engineSocket };
  }

  info(): LocalNodeInfo {
    const isIn = this.state !== 'inactive';
    return {
      state: this.state,
      nodeId: isIn ? this.nodeId : '',
      nodeAddr: isIn ? '198.18.0.1' : '',
      controlAvailable: this.isManager,
      remoteManagers: this.isManager
        ? this.#members().map(({ nodeId, address }) => ({ nodeId, address }))
        : [],
      error: '',
    };
  }

  async init(request: InitRequest): Promise<string> {
    await this.becomeManager(request);
    return this.nodeId;
  }

  async becomeManager(
    request?: InitRequest,
    featureLevel = PROGRAM.FeatureLevel.Newest,
  ): Promise<void> {
    await put(this.store, 'cluster', {
      ID: newId(randomBytes),
      Spec: request?.spec ?? {
        Name: 'default',
        Labels: {},
        Orchestration: { TaskHistoryRetentionLimit: 5 },
        Raft: { SnapshotInterval: 10000, ElectionTick: 10, HeartbeatTick: 1 },
        Dispatcher: { HeartbeatPeriod: 1e9 },
        CAConfig: { NodeCertExpiry: 7776e12 },
        TaskDefaults: {},
        EncryptionConfig: { AutoLockManagers: false },
      },
      TLSInfo: {
        TrustRoot: TEST_ROOT,
        CertIssuerSubject: 'c3ViamVjdA==',
        CertIssuerPublicKey: 'a2V5',
      },
      RootRotationInProgress: false,
      FeatureLevel: featureLevel,
      DefaultAddrPool: ['10.0.0.0/8'],
      SubnetSize: 24,
      DataPathPort: 4789,
      JoinTokens: { Worker: 'SWMTKN-1-a-w', Manager: 'SWMTKN-1-a-m' },
      Private: { CAKey: 'top secret', CACert: TEST_ROOT, RemovedNodes: {} },
    });
    await put(
      this.store,
      'node',
      nodeDraft(this.nodeId, {
        Spec: { Labels: {}, Role: 'manager', Availability: 'active' },
        Role: 'manager',
        RaftID: 4711,
        ManagerAddr: '198.18.0.1:2377',
      }),
    );
    this.state = 'active';
    this.isManager = true;
  }

  async join(request: unknown): Promise<void> {
    this.joins.push(request);
    if (this.joinNeverEnds) await new Promise(() => {});
    this.state = 'active';
  }

  async leave({ force }: { readonly force: boolean }): Promise<void> {
    this.leaves.push(force);
    this.state = 'inactive';
    this.isManager = false;
  }

  manager(): ManagerAccess | undefined {
    return this.isManager ? this.access : undefined;
  }

  async *#logs(
    selector: LogSelector,
    options: { readonly follow: boolean },
    signal: AbortSignal,
  ): AsyncIterable<LogRecord> {
    this.asked = { selector, options };
    yield* this.logItems;
    if (this.logError !== undefined) throw this.logError;
    if (options.follow && !signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    }
    this.logsEnded += 1;
  }

  #members(): ManagerMember[] {
    this.membersAsked += 1;
    const isLeader = this.leads && this.quorumState.state === 'ok';
    return [
      {
        nodeId: this.nodeId,
        address: '198.18.0.1:2377',
        reachability: 'reachable',
        leader: isLeader,
      },
      ...this.others,
    ];
  }
}

export interface Running {
  readonly node: FakeNode;
  readonly server: LocalApi;
  readonly socketPath: string;
  /** Logged errors. */
  readonly faults: object[];
  call(method: string, path: string, sent?: Sent): Promise<Reply>;
  /** Opens a socket whose clients count as the node with this id. */
  listenAs(nodeId: string, role?: 'manager' | 'worker'): Promise<string>;
  close(): Promise<void>;
}

export interface StartOptions {
  readonly nodeId?: string;
  readonly clusterId?: string;
  readonly limits?: Partial<ApiLimits & HttpLimits & { readonly joinMs: number }>;
  readonly engineSocket?: string;
  /** Of its cluster; default the newest. */
  readonly featureLevel?: number;
  /** Whether it is a manager from the start; default true. */
  readonly manager?: boolean;
}

/** Starts an API server on a unix socket in its own folder. */
export async function start(options: StartOptions = {}): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-api-'));
  const node = new FakeNode(options.nodeId ?? newId(randomBytes), options.engineSocket);
  if (options.manager !== false) await node.becomeManager(undefined, options.featureLevel);
  const faults: object[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    warn() {},
    error: (fields) => faults.push(fields),
    child: () => logger,
  };
  const limits = { leaderMs: 300, writeMs: 300, closeMs: 200, ...options.limits };
  const server = new LocalApi({
    control: node,
    clock: systemClock(),
    randomBytes,
    logger,
    version: '1.2.3',
    limits,
  });
  const self = { nodeId: node.nodeId, clusterId: options.clusterId ?? '' };
  server.serveManager(new ManagerApi({ ...server.shared, manager: node.access, self, limits }));
  const socketPath = join(folder, 'api.sock');
  await server.listen(socketPath);
  const peers: http.Server[] = [];
  return {
    node,
    server,
    socketPath,
    faults,
    call: (method, path, sent) => call(socketPath, method, path, sent),
    async listenAs(nodeId, role = 'manager') {
      const path = join(folder, `peer-${peers.length}.sock`);
      const peer = http.createServer(server.server.serverOptions(), (request, response) => {
        const isForwarded = request.headers[FORWARDED_HEADER] !== undefined;
        const principal = { kind: role, nodeId };
        const caller = isForwarded ? { principal, forwardedBy: nodeId } : { principal };
        server.server.handle(request, response, caller);
      });
      server.server.bound(peer);
      peers.push(peer);
      await new Promise<void>((resolve) => peer.listen(path, resolve));
      return path;
    },
    async close() {
      await server.close();
      for (const peer of peers) {
        peer.closeAllConnections();
        peer.close();
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The smallest body of service create. */
export function serviceBody(name: string, patch: object = {}): object {
  return {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: 'nginx:1' } },
    Mode: { Replicated: { Replicas: 1 } },
    ...patch,
  };
}
