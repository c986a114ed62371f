// Only managers load this file.
import { join } from 'node:path';
import type { Clock, Logger, ManagerAddress } from '@swarm/api';
import type { RequestHandler } from '@swarm/http';
import { type Caller, callManager, tlsClientOptions } from '@swarm/identity';
import {
  type CertificateIssuer,
  INSTANCE_HEADER,
  type LocalManager,
  Manager,
  type ManagerCalls,
  MovedManagers,
  type Start,
  selfInfo,
  StoreStateMachine,
} from '@swarm/manager/assembly';
import { LevelStorage, WsTransport } from '@swarm/raft';
import { HttpsLeaderLink } from './port/leader-link.js';
import { Listener } from './port/listener.js';
import { raftConnect } from './port/raft-connect.js';

export interface OpenManagerOptions {
  readonly self: LocalManager;
  readonly start: Start;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly issuer: CertificateIssuer;
  /** Answers requests for the API on the port for nodes. */
  readonly api: RequestHandler<Caller>;
  readonly knownManagers?: () => readonly ManagerAddress[];
  readonly onOutside?: () => void;
  readonly onFatal: (error: unknown) => void;
}

/** Opens a manager on this host's disk, network and port. @throws the error of storage, state or port */
export async function openManager(options: OpenManagerOptions): Promise<Manager> {
  const { self, api, clock, logger, ...rest } = options;
  const { folder, clusterId, listen, advertiseAddress, identity } = self;
  const state = await StoreStateMachine.open({ folder: join(folder, 'state'), clock, logger });
  const moved = new MovedManagers();
  const transport = new WsTransport({
    self: selfInfo(self),
    clusterId,
    connect: raftConnect(self, moved, logger),
    clock,
    random: options.random,
    logger: logger.child({ part: 'raft' }),
  });
  return Manager.open({
    ...rest,
    self,
    clock,
    logger,
    state,
    transport,
    log: memberLog(self),
    port: (routes) =>
      new Listener(routes, {
        ...listen,
        ...{ advertiseAddress, identity, moved, raft: transport, api, clock, logger },
      }),
    link: (leader) => new HttpsLeaderLink(identity, clock, leader),
    calls: managerCalls(self),
    moved,
  });
}

/** A manager's Raft log on this host's disk. */
export function memberLog({ folder, clusterId, raftId }: LocalManager): LevelStorage {
  return new LevelStorage({ path: join(folder, 'log'), clusterId, memberId: raftId });
}

/** Calls other managers with the identity of this node. */
export function managerCalls({
  identity,
  instance,
}: Pick<LocalManager, 'identity' | 'instance'>): ManagerCalls {
  const headers = { [INSTANCE_HEADER]: instance };
  return {
    call: (call, expectedNodeId) =>
      callManager({ ...call, headers, tls: tlsClientOptions(identity(), expectedNodeId) }),
  };
}
