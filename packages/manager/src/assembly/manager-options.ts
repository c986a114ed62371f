import type { Clock, Logger, ManagerAddress } from '@swarm/api';
import type { LogStorage, Transport } from '@swarm/raft';
import type { CertificateIssuer } from '../ca/certificate-issuer.js';
import type { StoreStateMachine } from '../store/state-machine.js';
import type { ManagerCalls } from './join-raft.js';
import type { LeaderAddress, LeaderLink } from './leader-link.js';
import type { LocalManager, Start } from './local-manager.js';
import type { MovedManagers } from './moved-managers.js';
import type { NodePort, PortRoutes } from './node-port.js';

/** Everything that a manager gets from outside. */
export interface ManagerOptions {
  readonly self: Pick<
    LocalManager,
    'nodeId' | 'clusterId' | 'raftId' | 'instance' | 'advertiseAddress' | 'identity'
  >;
  readonly start: Start;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  /** The Raft log. */
  readonly log: LogStorage;
  /** The applied state, open; the manager closes it. */
  readonly state: StoreStateMachine;
  /** Ways to the other Raft members. */
  readonly transport: Transport;
  /** Where nodes reach this manager. */
  readonly port: (routes: PortRoutes) => NodePort;
  /** Opens the way to the leader, for when it is another manager. */
  readonly link: (leader: () => LeaderAddress | undefined) => LeaderLink;
  readonly calls: ManagerCalls;
  /** Where other managers say they are. */
  readonly moved: MovedManagers;
  /** Reads certificate requests of nodes and signs their certificates, while this manager leads. */
  readonly issuer: CertificateIssuer;
  /** Managers that this node knows of besides the Raft group; none by default. */
  readonly knownManagers?: () => readonly ManagerAddress[];
  /** The group has a leader and this member has none: it may have been removed. Called again while it lasts. */
  readonly onOutside?: () => void;
  /** The Raft member hit an error that it must not survive. */
  readonly onFatal: (error: unknown) => void;
}
