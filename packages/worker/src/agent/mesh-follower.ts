import {
  backoffMs,
  type Clock,
  type Logger,
  type MeshDelta,
  type MeshPeer,
  type MeshPort,
  type MeshState,
  type Node,
  type PortKey,
  portKey,
} from '@swarm/api';
import { delay } from '../runtime/delay.js';
import { messageOf } from '../runtime/runtime-error.js';
import type { StoredMesh } from './agent-storage.js';
import { RETRY_MS } from './limits.js';
import type { TaskMesh } from './task-mesh.js';

const EMPTY: MeshState = { generation: 0, peers: [], ports: [] };

export interface MeshFollowerOptions {
  readonly mesh: TaskMesh;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tasks that may be attached from an earlier life: what else the mesh holds is removed. */
  readonly alive: () => ReadonlySet<string>;
  /** Keeps it for the next life. */
  readonly store: (mesh: StoredMesh) => void;
  /** The kernel holds this generation now. */
  readonly holds: (generation: number) => void;
}

/** Follows the mesh state that managers send, and makes the kernel hold the newest. */
export class MeshFollower {
  readonly #options: MeshFollowerOptions;
  readonly #started: { promise: Promise<void>; resolve: () => void };
  #self: MeshPeer | undefined;
  #running = false;
  /** Newest that is known, and what the kernel holds. */
  #wanted = EMPTY;
  #held = EMPTY;
  #applying = false;
  #closed = false;

  constructor(options: MeshFollowerOptions) {
    this.#options = options;
    let resolve!: () => void;
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    this.#started = { promise, resolve };
  }

  /** Generation the kernel holds; what the hello names. */
  get generation(): number {
    return this.#held.generation;
  }

  /** Whether tasks can be attached. */
  get running(): boolean {
    return this.#running;
  }

  /** Resolves when tasks can be attached. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** What an earlier life knew, so that the mesh works before any manager is reached. */
  restore(stored: StoredMesh): void {
    if (stored.state !== undefined) this.#wanted = stored.state;
    this.#setSelf(stored.self);
  }

  /** The node object may tell the node's place in the mesh. */
  setNode(node: Node): void {
    if (node.Mesh == null) return;
    const { Index, Address, Subnet } = node.Mesh;
    if (Address === '') {
      // What the kernel has stays; only a new address could change anything.
      this.#options.logger.error({}, node.Status.Message ?? 'this node has no data path address');
      return;
    }
    this.#setSelf({ nodeId: node.ID, index: Index, address: Address, subnet: Subnet });
  }

  /** @returns false when it does not follow what is known: a new session has to bring everything */
  update(delta: MeshDelta): boolean {
    const base = [this.#wanted, this.#held].find(({ generation }) => generation === delta.base);
    if (delta.base !== 0 && base === undefined) {
      // The next hello must not name a generation whose content we do not have.
      this.#held = EMPTY;
      return false;
    }
    this.#wanted = applyDelta(delta.base === 0 ? EMPTY : base!, delta);
    this.#save();
    this.#apply();
    // Without a place there is no mesh here, so nothing goes by an older generation either.
    if (this.#self === undefined) this.#options.holds(delta.generation);
    return true;
  }

  close(): void {
    this.#closed = true;
  }

  #setSelf(self: MeshPeer): void {
    const known = this.#self;
    const same =
      known?.index === self.index &&
      known.address === self.address &&
      known.subnet === self.subnet &&
      known.nodeId === self.nodeId;
    if (same) return;
    this.#self = self;
    this.#save();
    void this.#start(self);
  }

  async #start(self: MeshPeer): Promise<void> {
    const { mesh, clock, logger } = this.#options;
    for (let tries = 1; !this.#closed && this.#self === self; tries += 1) {
      try {
        await mesh.start(self);
        if (!this.#running) await mesh.retain(this.#options.alive());
        this.#running = true;
        this.#started.resolve();
        this.#apply();
        return;
      } catch (error) {
        logger.error(
          { error: messageOf(error) },
          'the routing mesh could not be started, trying again',
        );
        await delay(clock, backoffMs(tries, RETRY_MS));
      }
    }
  }

  #apply(): void {
    if (this.#applying || !this.#running) return;
    this.#applying = true;
    void this.#applyAll().finally(() => {
      this.#applying = false;
    });
  }

  /** The newest wins: generations that came while one was applied are skipped. */
  async #applyAll(): Promise<void> {
    const { mesh, clock, logger, holds } = this.#options;
    for (let tries = 1; !this.#closed && this.#held !== this.#wanted; tries += 1) {
      const state = this.#wanted;
      if (state.generation === 0) return;
      try {
        await mesh.apply(state);
        this.#held = state;
        holds(state.generation);
        tries = 0;
      } catch (error) {
        const { generation } = state;
        logger.error(
          { generation, error: messageOf(error) },
          'the routing mesh was not updated, trying again',
        );
        await delay(clock, backoffMs(tries, RETRY_MS));
      }
    }
  }

  #save(): void {
    if (this.#self === undefined) return;
    const state = this.#wanted;
    this.#options.store({ self: this.#self, ...(state.generation === 0 ? {} : { state }) });
  }
}

/** The state that a delta makes of its base. */
export function applyDelta(base: MeshState, delta: MeshDelta): MeshState {
  const peers = new Map(base.peers.map((peer) => [peer.nodeId, peer]));
  const ports = new Map(base.ports.map((port) => [keyOf(port), port]));
  for (const nodeId of delta.removedPeers) peers.delete(nodeId);
  for (const port of delta.removedPorts) ports.delete(keyOf(port));
  for (const peer of delta.peers) peers.set(peer.nodeId, peer);
  for (const port of delta.ports) ports.set(keyOf(port), port);
  return {
    generation: delta.generation,
    peers: [...peers.values()],
    ports: [...ports.values()],
  };
}

function keyOf(port: Pick<MeshPort, 'protocol' | 'publishedPort'>): PortKey {
  return portKey(port.protocol, port.publishedPort);
}
