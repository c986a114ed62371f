import type { PortKey } from '@swarm/api';
import type { HostPrograms } from './programs/host-programs.js';

/** Why the mesh never serves a port of its own node's daemon, whatever a manager sends. */
const OWN = 'the daemon of this node needs it itself';

export interface PortGuardOptions {
  readonly programs: HostPrograms;
  /** What the node's daemon itself listens on, or will as a manager. */
  readonly ownPorts: () => Iterable<PortKey>;
  /** Whether a socket of the mesh keeps others from taking the port. */
  readonly isHeld: (port: PortKey) => boolean;
}

/** Knows which ports the mesh must leave alone on this node, and why. */
export class PortGuard {
  readonly #options: PortGuardOptions;
  /** The ports that the last look was about, and those of them that programs have. */
  #asked: ReadonlySet<PortKey> = new Set();
  #taken: ReadonlyMap<PortKey, string> = new Map();

  constructor(options: PortGuardOptions) {
    this.#options = options;
  }

  /**
   * Says which of these ports to leave alone, by why. Looks at the host again only for a port that the last
   * look was not about.
   */
  async check(ports: ReadonlySet<PortKey>): Promise<ReadonlyMap<PortKey, string>> {
    if (!isSubset(ports, this.#asked)) await this.look(ports);
    const withheld = new Map<PortKey, string>();
    const own = new Set(this.#options.ownPorts());
    for (const port of ports) {
      const why = own.has(port) ? OWN : this.#taken.get(port);
      if (why !== undefined) withheld.set(port, why);
    }
    return withheld;
  }

  /** Looks at the host now. */
  async look(ports: ReadonlySet<PortKey>): Promise<void> {
    const { programs, isHeld } = this.#options;
    this.#taken = await programs.find(ports, isHeld);
    this.#asked = ports;
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

function isSubset(some: ReadonlySet<PortKey>, all: ReadonlySet<PortKey>): boolean {
  for (const port of some) if (!all.has(port)) return false;
  return true;
}
