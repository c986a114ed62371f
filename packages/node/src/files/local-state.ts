import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import { type ManagerAddress, type Shape, ShapeError, shape } from '@swarm/api';
import { DamagedFileError, managersShape, readJsonFile } from '@swarm/worker';
import { FORMER_MANAGERS_LIMIT, type FormerManager } from '../tasks/manager-pins.js';

/**
 * How a node came to an address, which decides what becomes of it when the host no longer has it: `detected`
 * by the node, which then looks again; `given` by the user; `outside`, given and never an address of this
 * host, such as a router's; `follows` another (advertise the listening one, data path the advertised one);
 * `interface NAME`, the address of that interface.
 */
export interface AddressOrigins {
  readonly listen: string;
  readonly advertise: string;
  readonly dataPath: string;
}

/** What a node remembers about its cluster besides certificate, log and tasks. */
export interface LocalState {
  readonly clusterId: string;
  readonly nodeId: string;
  /** `host:port` that others reach this node at when it is a manager. */
  readonly advertiseAddress: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly dataPathAddress: string;
  readonly dataPathPort: number;
  /** Absent in a state of an earlier version. */
  readonly addressOrigins?: AddressOrigins;
  /** Present while the node is, or is about to be, a member of the Raft group. */
  readonly raftId?: number;
  /** Whether the Raft member has joined; if not, joining continues after a restart. */
  readonly raftJoined?: boolean;
  readonly managers: readonly ManagerAddress[];
  /** Nodes that were managers, whose certificates may still be valid. */
  readonly formerManagers?: readonly FormerManager[];
}

const FILE = 'node.json';
const FILE_LIMIT_BYTES = 256 * 1024;

/** Kept as written, possibly with a zone, because it is compared with what users write. */
const localAddress: Shape<string> = {
  read(value) {
    if (typeof value === 'string' && isIP(value) !== 0) return value;
    throw new ShapeError('', 'must be an IP address');
  },
};

const origin: Shape<string> = {
  read(value) {
    if (
      typeof value === 'string' &&
      /^(detected|given|outside|follows|interface \S{1,64})$/.test(value)
    )
      return value;
    throw new ShapeError('', 'must say how the address was found');
  },
};

const formerShape = shape.record<FormerManager>({
  nodeId: shape.objectId,
  sinceMs: shape.integer(0),
});

const localStateShape = shape.record<LocalState>({
  clusterId: shape.objectId,
  nodeId: shape.objectId,
  advertiseAddress: shape.hostPort,
  listen: shape.record<LocalState['listen']>({ host: localAddress, port: shape.port }),
  dataPathAddress: localAddress,
  dataPathPort: shape.port,
  addressOrigins: shape.optional(
    shape.record<AddressOrigins>({ listen: origin, advertise: origin, dataPath: origin }),
  ),
  raftId: shape.optional(shape.integer(1)),
  raftJoined: shape.optional(shape.flag),
  managers: managersShape,
  formerManagers: shape.optional({
    read: (value) => shape.readEach(formerShape, value, FORMER_MANAGERS_LIMIT, () => undefined),
  }),
});

/** Whether the node of this data root is in a cluster, even if its state cannot be read. */
export function hasState(folder: string): boolean {
  return existsSync(join(folder, FILE));
}

/** The node's own state in one JSON file, replaced atomically. */
export class LocalStateFile {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, FILE);
  }

  /** @throws Error when the file exists but is not a node's state; the message says what is wrong with it */
  async load(): Promise<LocalState | undefined> {
    try {
      return await readJsonFile(this.#path, localStateShape, FILE_LIMIT_BYTES);
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      throw new Error(`${error.message}: remove the data folder and join the cluster again`);
    }
  }

  /** @throws ShapeError for what {@link load} would not read, before it writes anything */
  async save(state: LocalState): Promise<void> {
    const checked = localStateShape.read(state);
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const next = `${this.#path}.next`;
    const file = await open(next, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(checked, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, this.#path);
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
