import type { PortProtocol, Service } from './service.js';

/** A published port that a node does not serve on its own addresses. */
export interface PortConflict {
  readonly Protocol: PortProtocol;
  readonly PublishedPort: number;
  /** Who has the port, or what is missing, as the end of a sentence: `nginx (pid 812) listens on it`. */
  readonly Reason: string;
}

/** A node that does not serve a port of a service. */
export interface ServicePortConflict extends PortConflict {
  readonly NodeID: string;
  /** Its name. */
  readonly Hostname: string;
}

/** A service as the API shows it. */
export interface ShownService extends Service {
  /** Ours. Absent when every node that is up serves all ports. */
  readonly PortConflicts?: readonly ServicePortConflict[];
}
