import type { Logger } from '@swarm/api';
import { messageOf } from '../runtime/runtime-error.js';
import type { AttachmentManagers } from './attachment-managers.js';
import type { ContainerEntry } from './container-entry.js';
import type { ContainerNetworks } from './container-networks.js';

export interface PlaceComparisonOptions {
  readonly managers: AttachmentManagers;
  readonly networks: ContainerNetworks;
  /** By container id. */
  readonly entries: ReadonlyMap<string, ContainerEntry>;
  readonly logger: Logger;
  readonly isClosed: () => boolean;
}

/** Compares the places of the node's containers with those that the managers count. */
export class PlaceComparison {
  readonly #options: PlaceComparisonOptions;
  /** The managers may count places that are none. */
  #isUnsure = true;
  #isComparing = false;

  constructor(options: PlaceComparisonOptions) {
    this.#options = options;
  }

  get isDue(): boolean {
    return this.#isUnsure;
  }

  doubt(): void {
    this.#isUnsure = true;
  }

  /** Gives back places that the managers count and no container has, and gets those again that they lost. */
  async compare(): Promise<void> {
    const { managers, logger } = this.#options;
    if (this.#isComparing || this.#options.isClosed()) return;
    this.#isComparing = true;
    const before = [...this.#options.entries].filter(
      ([, { record }]) => record.place !== undefined,
    );
    try {
      this.#isUnsure = false;
      const tasks = await managers.list();
      const known = new Set(
        [...this.#options.entries.values()].flatMap(({ record }) => record.place?.Task.ID ?? []),
      );
      const isOpening = (containerId: string) =>
        this.#options.entries.get(containerId)?.isOpening === true;
      const unknown = tasks.filter(
        ({ TaskID, ContainerID }) => !known.has(TaskID) && !isOpening(ContainerID),
      );
      if (unknown.length > 0) await managers.release(unknown.map(({ TaskID }) => TaskID));
      const counted = new Set(tasks.map(({ TaskID }) => TaskID));
      for (const [containerId, entry] of before) {
        const { place } = entry.record;
        if (place !== undefined && !counted.has(place.Task.ID))
          await entry.queue.run(() => this.#options.networks.replace(entry, containerId, place));
      }
    } catch (error) {
      this.#isUnsure = true;
      logger.debug(
        { error: messageOf(error) },
        'cannot compare places on networks with the managers',
      );
    } finally {
      this.#isComparing = false;
    }
  }
}
