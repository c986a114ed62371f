import {
  backoffMs,
  type Clock,
  INGRESS_SUBNET,
  type Logger,
  type MeshDelta,
  type MeshIngress,
  type MeshMember,
  type MeshPeer,
  type Node,
  nodeBlock,
  pause,
  Subnet,
  type Timer,
} from '@swarm/api';
import { messageOf } from '../runtime/runtime-error.js';
import type { AgentStorage, StoredMesh } from './agent-storage.js';
import { MeshBook } from './mesh-book.js';
import { NAMED_WAIT_MS, RETRY_MS } from './limits.js';
import type { TaskMesh } from './task-mesh.js';

export interface MeshFollowerOptions {
  readonly mesh: TaskMesh;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tasks of an earlier run that may still be attached; removes everything else the mesh holds. */
  readonly alive: () => ReadonlySet<string>;
  /** Keeps the mesh for the next run. */
  readonly store: Pick<AgentStorage, 'putMesh' | 'changeMesh'>;
  /** The kernel now holds this generation. */
  readonly holds: (generation: number) => void;
}

/** Follows the mesh state that managers send, and keeps the kernel at the newest. */
export class MeshFollower {
  readonly #options: MeshFollowerOptions;
  readonly #started = promised();
  readonly #serving = promised();
  #self: MeshPeer | undefined;
  #running = false;
  readonly #book = new MeshBook();
  #applying = false;
  /** Tasks that wait until a state names them. */
  readonly #namings = new Map<string, () => void>();
  /** The generation that each task on overlay networks first came with. */
  readonly #members = new Map<string, number>();
  #closed = false;

  constructor(options: MeshFollowerOptions) {
    this.#options = options;
  }

  /** Generation that the kernel holds; the hello names it. */
  get generation(): number {
    return this.#book.held;
  }

  /** Whether tasks can be attached. */
  get running(): boolean {
    return this.#running;
  }

  /** Resolves when tasks can be attached. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Resolves when the kernel holds what the managers sent first. */
  get serving(): Promise<void> {
    return this.#serving.promise;
  }

  /** Takes over what an earlier run saved, so that the mesh works before the node reaches a manager. */
  restore(stored: StoredMesh): void {
    if (stored.state !== undefined) {
      this.#book.replace(stored.state);
      this.#noteMembers(stored.state.members ?? [], stored.state.generation);
    }
    this.#setSelf(stored.self);
  }

  /** Reads the node's place in the mesh from the node object, if it has one. */
  setNode(node: Node): void {
    if (node.Mesh == null) return;
    const { Index, Address, Subnet } = node.Mesh;
    if (Address === '') {
      // Keeps what the kernel has; only a new address could change anything.
      this.#options.logger.error({}, node.Status.Message ?? 'this node has no data path address');
      return;
    }
    this.#setSelf({ nodeId: node.ID, index: Index, address: Address, subnet: Subnet });
  }

  /** @returns false when the delta does not follow the known state: only a new session can bring everything */
  update(delta: MeshDelta): boolean {
    const isWhole = delta.base === 0;
    if (isWhole) {
      this.#book.replace(delta);
      this.#members.clear();
      this.#save();
    } else {
      const changes = this.#book.change(delta);
      // The next hello names no generation whose content we lack.
      if (changes === undefined) return false;
      if (this.#self !== undefined)
        for (const change of changes) this.#options.store.changeMesh(this.#self, change);
    }
    for (const taskId of delta.removedMembers ?? []) this.#members.delete(taskId);
    this.#noteMembers(delta.members ?? [], delta.generation);
    this.#apply();
    // Without a place there is no mesh on this node, so nothing uses an older generation either.
    if (this.#self === undefined) this.#options.holds(delta.generation);
    return true;
  }

  /** Resolves when the kernel holds a state that names the task, or after `NAMED_WAIT_MS`. */
  async names(taskId: string): Promise<void> {
    if (this.#isNamed(taskId)) return;
    const { clock } = this.#options;
    let timer: Timer;
    await new Promise<void>((resolve) => {
      this.#namings.set(taskId, resolve);
      timer = clock.setTimeout(resolve, NAMED_WAIT_MS);
    });
    clock.clearTimeout(timer);
    this.#namings.delete(taskId);
  }

  #isNamed(taskId: string): boolean {
    const since = this.#members.get(taskId);
    return since !== undefined && since <= this.#book.held;
  }

  #noteMembers(members: readonly MeshMember[], generation: number): void {
    for (const { taskId } of members) {
      if (!this.#members.has(taskId)) this.#members.set(taskId, generation);
    }
  }

  close(): void {
    this.#closed = true;
  }

  #setSelf(self: MeshPeer): void {
    const known = this.#self;
    const same =
      known?.index === self.index && known.address === self.address && known.nodeId === self.nodeId;
    if (same) return;
    this.#self = self;
    this.#save();
    void this.#start(self);
  }

  async #start(self: MeshPeer): Promise<void> {
    const { mesh, clock, logger } = this.#options;
    for (let tries = 1; !this.#closed && this.#self === self; tries += 1) {
      try {
        const { ingress } = this.#book;
        await mesh.start({ ...self, subnet: blockOf(self, ingress) }, ingress);
        if (!this.#running) await mesh.retain(this.#options.alive());
        this.#running = true;
        this.#started.resolve();
        this.#apply();
        return;
      } catch (error) {
        if (this.#closed) return;
        logger.error(
          { error: messageOf(error) },
          'the routing mesh could not be started, trying again',
        );
        await pause(clock, backoffMs(tries, RETRY_MS));
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

  /** Makes the kernel hold all that is known: what arrives meanwhile is held together, by one more step. */
  async #applyAll(): Promise<void> {
    const { clock, logger, holds } = this.#options;
    for (let tries = 1; !this.#closed && this.#book.isAhead; tries += 1) {
      try {
        await this.#applyOnce();
        this.#book.hold();
        for (const [taskId, resolve] of this.#namings) if (this.#isNamed(taskId)) resolve();
        this.#serving.resolve();
        holds(this.#book.held);
        tries = 0;
      } catch (error) {
        this.#book.fail();
        if (this.#closed) return;
        const { generation } = this.#book;
        logger.error(
          { generation, error: messageOf(error) },
          'the routing mesh was not updated, trying again',
        );
        await pause(clock, backoffMs(tries, RETRY_MS));
      }
    }
  }

  async #applyOnce(): Promise<void> {
    const { mesh } = this.#options;
    const { delta } = this.#book.take();
    if (delta !== undefined && (await mesh.change(delta))) return;
    await mesh.apply(this.#book.takeWhole());
  }

  /** All of it. */
  #save(): void {
    if (this.#self === undefined) return;
    const state = this.#book.whole();
    this.#options.store.putMesh({
      self: this.#self,
      ...(state.generation === 0 ? {} : { state }),
    });
  }
}

function promised(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** The node's block of the ingress network that it knows of; the manager's word where that has none for it. */
function blockOf({ index, subnet }: MeshPeer, ingress: MeshIngress | undefined): string {
  const network = Subnet.parse(ingress?.subnet ?? INGRESS_SUBNET);
  return (network && nodeBlock(network, index))?.toString() ?? subnet;
}
