import { isDeepStrictEqual } from 'node:util';
import { type MeshPort, meshPortKey, type PortKey } from '@swarm/api';
import { SortedIds } from '../store/sorted-ids.js';

/**
 * The ports of the mesh, by the services that publish them. The allocator gives a port once; should two services
 * have it, the first keeps it everywhere. A change costs as much as the ports of its service.
 */
export class MeshPorts {
  readonly #services = new Map<string, readonly MeshPort[]>();
  readonly #publishers = new Map<PortKey, SortedIds>();
  readonly #ports = new Map<PortKey, MeshPort>();
  /** Ports that are not as they were when `takeChanges` was last called, as they were then. */
  #changed = new Map<PortKey, MeshPort | undefined>();

  /** The ports that a service publishes, whether or not it has them. */
  of(serviceId: string): readonly MeshPort[] {
    return this.#services.get(serviceId) ?? [];
  }

  serviceIds(): Iterable<string> {
    return this.#services.keys();
  }

  get(key: PortKey): MeshPort | undefined {
    return this.#ports.get(key);
  }

  /** All of them, in order of their service's id. */
  all(): MeshPort[] {
    const ids = [...this.#services.keys()].sort();
    return ids.flatMap((id) => this.of(id).filter((port) => this.get(meshPortKey(port)) === port));
  }

  set(serviceId: string, ports: readonly MeshPort[]): void {
    const before = this.of(serviceId).map(meshPortKey);
    const after = ports.map(meshPortKey);
    if (ports.length === 0) this.#services.delete(serviceId);
    else this.#services.set(serviceId, ports);
    for (const key of after) this.#publishersOf(key).add(serviceId);
    for (const key of before) if (!after.includes(key)) this.#publishersOf(key).delete(serviceId);
    for (const key of new Set([...before, ...after])) this.#choose(key);
  }

  /** The ports that changed since the last call. */
  takeChanges(): ReadonlySet<PortKey> {
    const changed = new Set(this.#changed.keys());
    this.#changed = new Map();
    return changed;
  }

  #publishersOf(key: PortKey): SortedIds {
    let publishers = this.#publishers.get(key);
    if (publishers === undefined) {
      publishers = new SortedIds();
      this.#publishers.set(key, publishers);
    }
    return publishers;
  }

  #choose(key: PortKey): void {
    const [first] = this.#publishersOf(key);
    const port =
      first === undefined ? undefined : this.of(first).find((one) => meshPortKey(one) === key);
    const old = this.#ports.get(key);
    if (port === undefined) {
      this.#ports.delete(key);
      this.#publishers.delete(key);
    } else this.#ports.set(key, port);
    if (!this.#changed.has(key)) this.#changed.set(key, old);
    if (isDeepStrictEqual(this.#changed.get(key), port)) this.#changed.delete(key);
  }
}
