import { type MeshPort, meshPortKey, type PortKey } from '@swarm/api';
import { SortedIds } from '../store/sorted-ids.js';
import { MeshItems } from './mesh-items.js';

/**
 * The ports of the mesh, by the services that publish them. The allocator gives a port once; should two services
 * have it, the first keeps it everywhere. A change costs as much as the ports of its service.
 */
export class MeshPorts {
  readonly #services = new Map<string, readonly MeshPort[]>();
  readonly #publishers = new Map<PortKey, SortedIds>();
  readonly #ports = new MeshItems<MeshPort, PortKey>();

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
    const held = ids.flatMap((id) =>
      this.of(id).map((port) => [id, this.get(meshPortKey(port))] as const),
    );
    return held.flatMap(([id, port]) => (port?.serviceId === id ? [port] : []));
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
    return this.#ports.takeChanges();
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
    if (port === undefined) this.#publishers.delete(key);
    this.#ports.set(key, port);
  }
}
