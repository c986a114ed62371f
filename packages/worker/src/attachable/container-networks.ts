import { ApiError, type AttachReply, type Clock, type Logger, pause } from '@swarm/api';
import type { TaskMesh } from '../agent/task-mesh.js';
import type { EngineClient } from '../runtime/docker/engine-client.js';
import { hasStatus } from '../runtime/docker/engine-error.js';
import { netnsOf, type SandboxContainers } from '../runtime/docker/sandbox-containers.js';
import { messageOf } from '../runtime/runtime-error.js';
import type { AttachmentManagers } from './attachment-managers.js';
import type { ContainerEntry } from './container-entry.js';
import { attachRequest, meshAttachment, sandboxPlan } from './container-places.js';
import type { ContainerWish } from './container-record.js';
import { type EngineContainer, needsNetwork, startsWithEngine } from './engine-container.js';
import { MESH_WAIT_MS } from './limits.js';

export interface ContainerNetworksOptions {
  readonly engine: EngineClient;
  readonly sandboxes: SandboxContainers;
  readonly mesh: TaskMesh;
  readonly managers: AttachmentManagers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meshStarted: () => Promise<void>;
  readonly meshNames: (taskId: string) => Promise<void>;
  /** Writes all records. */
  readonly save: () => Promise<void>;
  /** The container is gone. */
  readonly forget: (containerId: string) => Promise<void>;
  /** The managers may count places that are none. */
  readonly doubt: () => void;
  readonly isClosed: () => boolean;
}

/** What a container has of its networks: a sandbox with their links, and a place that the managers gave it. */
export class ContainerNetworks {
  readonly #options: ContainerNetworksOptions;

  constructor(options: ContainerNetworksOptions) {
    this.#options = options;
  }

  /** Only within the entry's queue: makes sandbox and place, unless both stand. */
  async open(entry: ContainerEntry, containerId: string): Promise<void> {
    const standing = entry.record.place !== undefined && (await this.#netns(entry)) !== undefined;
    if (standing && entry.isAttached) return;
    const { managers } = this.#options;
    const { Name } = await this.#inspect(containerId);
    entry.isOpening = true;
    try {
      const request = attachRequest(entry.record.wish, containerId, Name.replace(/^\//, ''));
      const place = await managers.attach(request);
      await this.#attach(entry, containerId, place);
    } catch (error) {
      await this.#free(entry);
      throw error;
    } finally {
      entry.isOpening = false;
    }
  }

  /** Only within the entry's queue: makes a sandbox, and attaches it at this place. */
  async #attach(entry: ContainerEntry, containerId: string, place: AttachReply): Promise<void> {
    const { mesh, clock, meshStarted, meshNames } = this.#options;
    entry.record = { ...entry.record, place };
    await this.#options.save();
    const { sandbox, wish } = entry.record;
    await this.#options.sandboxes.remove(sandbox);
    const signal = new AbortController().signal;
    const id = await this.#options.sandboxes.make(
      sandboxPlan(sandbox, wish, containerId, place),
      signal,
    );
    const netns = await netnsOf(await this.#options.sandboxes.look(id, signal));
    const isLate = await Promise.race([
      meshStarted().then(() => false),
      pause(clock, MESH_WAIT_MS).then(() => true),
    ]);
    if (isLate)
      throw new ApiError(
        'TIMEOUT',
        "this node has no place in the routing mesh yet: try again, or see 'swarm info'",
      );
    await meshNames(place.Task.ID);
    await mesh.attach(meshAttachment(place, wish, netns));
    entry.isAttached = true;
  }

  /** Only within the entry's queue: gives back what the container has of the network. */
  async #free(entry: ContainerEntry): Promise<void> {
    const { mesh, managers, logger } = this.#options;
    const { place, sandbox, ...rest } = entry.record;
    if (place === undefined) return;
    await mesh.detach(place.Task.ID);
    entry.isAttached = false;
    await this.#options.sandboxes.remove(sandbox);
    entry.record = { ...rest, sandbox };
    await this.#options.save();
    try {
      await managers.release([place.Task.ID]);
    } catch (error) {
      this.#options.doubt();
      logger.warn({ error: messageOf(error) }, 'a place on a network is given back later');
    }
  }

  /** Only within the entry's queue: brings it in line with what the engine has. */
  async settle(entry: ContainerEntry, containerId: string): Promise<void> {
    if (this.#options.isClosed()) return;
    const container = await this.#find(containerId);
    if (container === undefined) {
      await this.#free(entry);
      await this.#options.forget(containerId);
      return;
    }
    const { place, wish } = entry.record;
    if (place === undefined) return;
    const netns = await this.#netns(entry);
    if (needsNetwork(container)) {
      if (entry.isAttached) return;
      // Without its sandbox, a container that runs holds the namespace itself.
      const path = netns ?? `/proc/${container.State.Pid}/ns/net`;
      await this.#options.mesh.adopt(meshAttachment(place, wish, path));
      entry.isAttached = true;
      return;
    }
    // The sandbox ended with the engine, which could not start the container again without it.
    if (netns === undefined && startsWithEngine(container)) await this.#revive(entry, containerId);
    else await this.#free(entry);
  }

  async #revive(entry: ContainerEntry, containerId: string): Promise<void> {
    const { logger } = this.#options;
    try {
      await this.#options.mesh.detach(entry.record.place!.Task.ID);
      await this.#attach(entry, containerId, entry.record.place!);
      await this.#options.engine.json('POST', `/containers/${containerId}/start`);
      logger.info({ container: containerId }, 'started a container again after its engine');
    } catch (error) {
      logger.error(
        { container: containerId, error: messageOf(error) },
        'could not start a container again after its engine',
      );
      await this.#free(entry);
    }
  }

  /** The namespace of the entry's sandbox; undefined when that does not run. */
  async #netns({ record }: ContainerEntry): Promise<string | undefined> {
    try {
      const details = await this.#options.sandboxes.look(
        record.sandbox,
        new AbortController().signal,
      );
      return details.State.Status === 'running' ? await netnsOf(details) : undefined;
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async #find(containerId: string): Promise<EngineContainer | undefined> {
    try {
      return await this.#options.engine.json<EngineContainer>(
        'GET',
        `/containers/${containerId}/json`,
      );
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async #inspect(containerId: string): Promise<EngineContainer> {
    const found = await this.#find(containerId);
    if (found === undefined) throw new ApiError('NOT_FOUND', `No such container: ${containerId}`);
    return found;
  }

  async change(
    entry: ContainerEntry,
    containerId: string,
    change: (wish: ContainerWish) => ContainerWish,
  ): Promise<void> {
    await entry.queue.run(async () => {
      const before = entry.record;
      const wish = change(before.wish);
      entry.record = { ...before, wish };
      try {
        if (before.place !== undefined) {
          const netns = await this.#netns(entry);
          if (netns === undefined)
            throw new ApiError('FAILED_PRECONDITION', 'the container ends just now: try again');
          const request = attachRequest(wish, containerId, before.place.Task.Name);
          const place = await this.#options.managers.attach(request);
          entry.record = { ...entry.record, place };
          await this.#options.meshNames(place.Task.ID);
          await this.#options.mesh.adopt(meshAttachment(place, wish, netns));
        }
      } catch (error) {
        entry.record = before;
        // Its place may be another now.
        entry.isAttached = false;
        this.#options.doubt();
        throw error;
      } finally {
        await this.#options.save();
      }
    });
  }

  /** Only within the entry's queue. The managers gave its place up, as after a day without this node: it gets another one. */
  async replace(entry: ContainerEntry, containerId: string, lost: AttachReply): Promise<void> {
    if (entry.record.place !== lost) return;
    const netns = await this.#netns(entry);
    if (netns === undefined) return;
    const { mesh, managers, logger } = this.#options;
    const request = attachRequest(entry.record.wish, containerId, lost.Task.Name);
    const place = await managers.attach(request);
    await mesh.detach(lost.Task.ID);
    entry.isAttached = false;
    entry.record = { ...entry.record, place };
    await this.#options.save();
    await mesh.attach(meshAttachment(place, entry.record.wish, netns));
    entry.isAttached = true;
    logger.warn({ container: containerId }, 'a container has other addresses: its place was lost');
  }
}
