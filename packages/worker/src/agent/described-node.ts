import { isTunnelled, type NodeDescription, PROGRAM, type RuntimeCapability } from '@swarm/api';
import type { NodeFacts, Runtime, RuntimeDescription } from '../runtime/runtime.js';
import { reportableDescription } from './reportable.js';
import type { TaskMesh } from './task-mesh.js';

export interface DescribedNodeOptions {
  readonly nodeId: string;
  readonly runtime: Runtime;
  readonly mesh: TaskMesh;
  /** What the runtime and the mesh do not know. */
  readonly description?: Partial<NodeDescription>;
}

/** What this node says of itself: to managers, and to its tasks. */
export class DescribedNode {
  readonly #options: DescribedNodeOptions;
  #runtime: RuntimeDescription | undefined;
  #extras: Partial<NodeDescription>;

  constructor(options: DescribedNodeOptions) {
    this.#options = options;
    this.#extras = options.description ?? {};
  }

  /** Asks the runtime, which comes before everything else. */
  async ask(): Promise<void> {
    this.#runtime = await this.#options.runtime.describe();
  }

  describe(extras: Partial<NodeDescription>): void {
    this.#extras = extras;
  }

  get description(): NodeDescription {
    const { mesh } = this.#options;
    const runtime = this.#runtime!;
    return reportableDescription({
      Hostname: runtime.hostname,
      Platform: runtime.platform,
      Resources: runtime.resources,
      Engine: {
        EngineVersion: runtime.engineVersion,
        ...(runtime.plugins === undefined ? {} : { Plugins: runtime.plugins }),
      },
      Runtime: runtime.kind,
      RuntimeCapabilities: withEncryption(
        runtime.capabilities.filter(
          (word) => word !== 'network-overlay' || isTunnelled({ MeshBackend: mesh.backend }),
        ),
        mesh,
      ),
      MeshBackend: mesh.backend,
      ...encryptionOf(mesh),
      PortConflicts: mesh.conflicts,
      ...(mesh.paths === undefined ? {} : { Paths: mesh.paths }),
      Ipv6Addresses: mesh.ipv6Addresses,
      Program: PROGRAM,
      ...this.#extras,
    });
  }

  /** @param address as the managers see it */
  facts(address: string | undefined): NodeFacts {
    const { Hostname, Platform } = this.description;
    return {
      id: this.#options.nodeId,
      hostname: Hostname,
      platform: Platform,
      ...(address === undefined ? {} : { address }),
    };
  }
}

/** What a node must be able to do for tasks on encrypted networks: it depends on the kernel, not on the runtime. */
const NETWORK_ENCRYPTED: RuntimeCapability = 'network-encrypted';

function withEncryption(
  capabilities: readonly string[],
  { encryption }: TaskMesh,
): readonly string[] {
  return encryption === undefined ? capabilities : [...capabilities, NETWORK_ENCRYPTED];
}

function encryptionOf({ encryption }: TaskMesh): Pick<NodeDescription, 'Encryption'> {
  if (encryption === undefined) return {};
  const { publicKey, epoch, means } = encryption;
  return { Encryption: { PublicKey: publicKey, Epoch: epoch, Means: means } };
}
