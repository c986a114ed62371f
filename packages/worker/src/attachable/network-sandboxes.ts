import { type Clock, ROLE_LABEL, SANDBOX_ROLE } from '@swarm/api';
import type { EngineClient } from '../runtime/docker/engine-client.js';
import { SandboxContainers } from '../runtime/docker/sandbox-containers.js';
import type { ContainerEntry } from './container-entry.js';

/** Begins the name of a container that holds the network of a user's container. */
const ATTACHED_PREFIX = 'swarm-network-';
/** Names the node that made such a container; its own label, since the runtime takes over what has `swarm.owner`. */
const NODE_LABEL = 'swarm.network.node';
const NAME_LENGTH = 16;

/** A new name for a sandbox. @param random 0 ≤ x < 1 */
export function sandboxName(random: () => number): string {
  let name = '';
  while (name.length < NAME_LENGTH) name += Math.floor(random() * 36).toString(36);
  return ATTACHED_PREFIX + name;
}

/** The sandboxes that this node made for containers of its engine. */
export class NetworkSandboxes {
  readonly containers: SandboxContainers;
  readonly #engine: EngineClient;
  readonly #nodeId: string;

  constructor({ engine, nodeId, clock }: { engine: EngineClient; nodeId: string; clock: Clock }) {
    this.#engine = engine;
    this.#nodeId = nodeId;
    this.containers = new SandboxContainers({ engine, labels: { [NODE_LABEL]: nodeId }, clock });
  }

  /** Removes what no container uses: a crash may have left it. */
  async removeUnused(entries: () => Iterable<ContainerEntry>): Promise<void> {
    const label = [`${ROLE_LABEL}=${SANDBOX_ROLE}`, `${NODE_LABEL}=${this.#nodeId}`];
    const found = await this.#engine.json<readonly { Id: string; Names: readonly string[] }[]>(
      'GET',
      '/containers/json',
      { query: { all: 1, filters: JSON.stringify({ label }) } },
    );
    for (const { Id, Names } of found) {
      const isUsed = [...entries()].some(
        ({ record, isOpening }) =>
          Names.includes(`/${record.sandbox}`) && (isOpening || record.place !== undefined),
      );
      if (!isUsed) await this.containers.remove(Id);
    }
  }

  /** Ids of the containers that join a sandbox, by its name. */
  async users(): Promise<ReadonlyMap<string, string>> {
    const containers = await this.#engine.json<
      readonly { Id: string; HostConfig?: { NetworkMode?: string } }[]
    >('GET', '/containers/json', { query: { all: 1 } });
    return new Map(
      containers.flatMap(({ Id, HostConfig }) => {
        const [kind, name] = HostConfig?.NetworkMode?.split(':') ?? [];
        return kind === 'container' && name !== undefined ? [[name, Id] as const] : [];
      }),
    );
  }
}
