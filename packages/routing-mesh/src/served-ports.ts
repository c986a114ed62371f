import { meshPortKey, type PortKey } from '@swarm/api';
import type { CheckedPort } from './checked.js';
import { Avoidance } from './paths/avoid.js';

/** Why and where a port of the state is not served as the state says. */
export interface PortLimits {
  /** Nodes to which packets do not get through. */
  readonly unreached: ReadonlySet<string>;
  /** Ports to leave alone. */
  readonly withheld: ReadonlyMap<PortKey, string>;
}

/** The published ports that this node serves, with the endpoints that it leads to. */
export class ServedPorts {
  readonly #ports = new Map<PortKey, CheckedPort>();
  readonly #avoidance = new Avoidance();

  get ports(): ReadonlyMap<PortKey, CheckedPort> {
    return this.#ports;
  }

  replace(ports: ReadonlyMap<PortKey, CheckedPort>, limits: PortLimits): void {
    this.#ports.clear();
    this.#avoidance.follow(limits.unreached);
    for (const port of ports.values()) this.#put(port, limits);
  }

  /** Follows the ports of these keys alone; limits of others are as before. */
  change(
    keys: Iterable<PortKey>,
    ports: ReadonlyMap<PortKey, CheckedPort>,
    limits: PortLimits,
  ): void {
    for (const key of keys) {
      const port = ports.get(key);
      if (port === undefined) this.#ports.delete(key);
      else this.#put(port, limits);
    }
  }

  #put(port: CheckedPort, { withheld }: PortLimits): void {
    const key = meshPortKey(port);
    if (withheld.has(key)) this.#ports.delete(key);
    else this.#ports.set(key, this.#avoidance.port(port));
  }
}
