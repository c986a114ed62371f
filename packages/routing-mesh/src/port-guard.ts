import type { IpAddress, PortKey } from '@swarm/api';
import type { HostPrograms } from './programs/host-programs.js';

/** Why the mesh never serves a port of its own node's daemon, whatever a manager sends. */
const OWN = 'the daemon of this node needs it itself';

export interface PortGuardOptions {
  readonly programs: HostPrograms;
  /** What the node's daemon itself listens on, or will as a manager. */
  readonly ownPorts: () => Iterable<PortKey>;
  /** Whether a socket of the mesh keeps others from taking the port at the address. */
  readonly isHeld: (port: PortKey, address: IpAddress) => boolean;
  /** Why this node cannot serve the port as the state asks; undefined if it can. */
  readonly problemOf: (port: PortKey) => string | undefined;
}

/** Knows which ports the mesh must leave alone on this node, and why. */
export class PortGuard {
  readonly #options: PortGuardOptions;
  /** The ports that looks were about, and those of them that programs have. */
  #asked = new Set<PortKey>();
  #taken = new Map<PortKey, string>();

  constructor(options: PortGuardOptions) {
    this.#options = options;
  }

  /**
   * Says which of these ports to leave alone, by why. Looks at the host only for ports that no look was about since
   * `look`, and for those alone.
   */
  async check(ports: ReadonlySet<PortKey>): Promise<ReadonlyMap<PortKey, string>> {
    const asked = new Set<PortKey>();
    for (const port of ports) if (!this.#asked.has(port)) asked.add(port);
    if (asked.size > 0) {
      const { programs, isHeld } = this.#options;
      for (const [port, why] of await programs.find(asked, isHeld)) this.#taken.set(port, why);
      for (const port of asked) this.#asked.add(port);
    }
    const withheld = new Map<PortKey, string>();
    const { ownPorts, problemOf } = this.#options;
    const own = new Set(ownPorts());
    for (const port of ports) {
      const why = own.has(port) ? OWN : (problemOf(port) ?? this.#taken.get(port));
      if (why !== undefined) withheld.set(port, why);
    }
    return withheld;
  }

  /** Looks at the host now, for all ports that may be led to tasks. */
  async look(ports: ReadonlySet<PortKey>): Promise<void> {
    const { programs, isHeld } = this.#options;
    this.#taken = new Map(await programs.find(ports, isHeld));
    this.#asked = new Set(ports);
  }
}

/** Why a task cannot have a host port, as a sentence. */
export function hostPortRefusal(port: PortKey, why: string): string {
  return `port ${port} cannot be published on this node: ${why}; free it, or publish another port`;
}

/** Whether two answers are the same. */
export function sameReasons(
  a: ReadonlyMap<PortKey, string>,
  b: ReadonlyMap<PortKey, string>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [port, why] of b) if (a.get(port) !== why) return false;
  return true;
}
