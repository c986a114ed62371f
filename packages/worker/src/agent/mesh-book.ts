import {
  filled,
  type MeshDelta,
  type MeshIngress,
  type MeshMember,
  type MeshPeer,
  type MeshPort,
  meshPortKey,
  type MeshService,
  type MeshState,
  type PortKey,
} from '@swarm/api';
import { mergedDeltas } from './mesh-deltas.js';

/** What leads from one generation to another, and back. */
interface Lead {
  readonly change: MeshDelta;
  readonly undo: MeshDelta;
}

/** What to make the kernel hold. */
export interface MeshStep {
  readonly generation: number;
  /** From the generation that it holds; undefined: only a whole state will do. */
  readonly delta: MeshDelta | undefined;
}

/**
 * All that managers said of the mesh, by key, and how far the kernel is behind. A delta costs as much as what it names.
 *
 * A delta may be based on what is known, or on what the kernel holds: a session that begins anew knows no more of this
 * node. So what is ahead of the kernel can be taken back.
 */
export class MeshBook {
  #generation = 0;
  #ingress: MeshIngress | undefined;
  readonly #peers = new Map<string, MeshPeer>();
  readonly #ports = new Map<PortKey, MeshPort>();
  readonly #services = new Map<string, MeshService>();
  readonly #members = new Map<string, MeshMember>();
  #held = 0;
  /** From what the kernel holds, or is about to hold, to what is known. */
  #lead: Lead | 'whole' | undefined;
  /** What the kernel is about to hold. */
  #taken: { readonly generation: number } | undefined;

  /** Of all that is known. */
  get generation(): number {
    return this.#generation;
  }

  /** The ingress network that is known. */
  get ingress(): MeshIngress | undefined {
    return this.#ingress;
  }

  /** What the kernel holds; 0 when that is unknown. */
  get held(): number {
    return this.#held;
  }

  /** Whether the kernel is behind. */
  get isAhead(): boolean {
    return this.#lead !== undefined && this.#generation > 0;
  }

  /** Replaces everything. */
  replace(state: MeshState): void {
    const all = { base: 0, removedPeers: [], removedPorts: [], ...state };
    for (const known of [this.#peers, this.#ports, this.#services, this.#members]) known.clear();
    this.#put(all);
    this.#lead = 'whole';
  }

  /** @returns what it took in, one after the other; undefined when the delta does not follow what is known */
  change(delta: MeshDelta): readonly MeshDelta[] | undefined {
    const back = delta.base === this.#generation ? undefined : this.#takenBack(delta.base);
    if (delta.base !== this.#generation && back === undefined) {
      this.#held = 0;
      this.#lead = 'whole';
      return undefined;
    }
    if (back !== undefined) {
      this.#put(back);
      this.#lead = undefined;
    }
    const lead: Lead = { change: delta, undo: this.#undoOf(delta) };
    this.#put(delta);
    this.#lead = joined(this.#lead, lead);
    return back === undefined ? [delta] : [back, delta];
  }

  #takenBack(base: number): MeshDelta | undefined {
    if (base !== this.#held || this.#taken !== undefined) return undefined;
    return this.#lead === 'whole' ? undefined : this.#lead?.undo;
  }

  /** The kernel is about to hold all that is known. */
  take(): MeshStep {
    const lead = this.#lead ?? 'whole';
    this.#lead = undefined;
    this.#taken = { generation: this.#generation };
    return { generation: this.#generation, delta: lead === 'whole' ? undefined : lead.change };
  }

  /** All that is known. */
  whole(): MeshState {
    return {
      generation: this.#generation,
      ...(this.#ingress && { ingress: this.#ingress }),
      peers: [...this.#peers.values()],
      ports: [...this.#ports.values()],
      ...filled({ services: [...this.#services.values()], members: [...this.#members.values()] }),
    };
  }

  /** All that is known; the kernel is about to hold that, and not only what was known when it was taken. */
  takeWhole(): MeshState {
    this.#lead = undefined;
    this.#taken = { generation: this.#generation };
    return this.whole();
  }

  /** The kernel holds what was taken. */
  hold(): void {
    this.#held = this.#taken!.generation;
    this.#taken = undefined;
  }

  /** The kernel does not hold what was taken, or not all of it. */
  fail(): void {
    this.#taken = undefined;
    this.#lead = 'whole';
  }

  #undoOf(delta: MeshDelta): MeshDelta {
    const { services = [], removedServices = [], members = [], removedMembers = [] } = delta;
    const peerIds = [...delta.removedPeers, ...delta.peers.map(({ nodeId }) => nodeId)];
    const peers = before(this.#peers, peerIds);
    const ports = before(this.#ports, [...delta.removedPorts, ...delta.ports].map(meshPortKey));
    const service = before(this.#services, [
      ...removedServices,
      ...services.map(({ serviceId }) => serviceId),
    ]);
    const member = before(this.#members, [
      ...removedMembers,
      ...members.map(({ taskId }) => taskId),
    ]);
    const absentPorts = new Set(ports.absent);
    return {
      base: delta.generation,
      generation: this.#generation,
      ...(this.#ingress && { ingress: this.#ingress }),
      peers: peers.values,
      removedPeers: peers.absent,
      ports: ports.values,
      removedPorts: delta.ports.filter((port) => absentPorts.has(meshPortKey(port))).map(portOnly),
      ...filled({
        services: service.values,
        removedServices: service.absent,
        members: member.values,
        removedMembers: member.absent,
      }),
    };
  }

  #put(delta: MeshDelta): void {
    const { services = [], removedServices = [], members = [], removedMembers = [] } = delta;
    for (const nodeId of delta.removedPeers) this.#peers.delete(nodeId);
    for (const port of delta.removedPorts) this.#ports.delete(meshPortKey(port));
    for (const serviceId of removedServices) this.#services.delete(serviceId);
    for (const taskId of removedMembers) this.#members.delete(taskId);
    for (const peer of delta.peers) this.#peers.set(peer.nodeId, peer);
    for (const port of delta.ports) this.#ports.set(meshPortKey(port), port);
    for (const service of services) this.#services.set(service.serviceId, service);
    for (const member of members) this.#members.set(member.taskId, member);
    this.#generation = delta.generation;
    this.#ingress = delta.ingress;
  }
}

function joined(first: Lead | 'whole' | undefined, second: Lead): Lead | 'whole' {
  if (first === undefined) return second;
  if (first === 'whole') return first;
  return {
    change: mergedDeltas(first.change, second.change),
    undo: mergedDeltas(second.undo, first.undo),
  };
}

function portOnly({ protocol, publishedPort }: MeshPort): MeshDelta['removedPorts'][number] {
  return { protocol, publishedPort };
}

/** What a map has of these keys, and which it lacks. */
function before<K, V>(
  known: ReadonlyMap<K, V>,
  keys: readonly K[],
): { readonly values: readonly V[]; readonly absent: readonly K[] } {
  const values: V[] = [];
  const absent: K[] = [];
  for (const key of new Set(keys)) {
    const value = known.get(key);
    if (value === undefined) absent.push(key);
    else values.push(value);
  }
  return { values, absent };
}
