import type {
  MeshEncryption,
  MeshPeer,
  MeshPort,
  MeshState,
  NodePaths,
  PortConflict,
} from '@swarm/api';
import type {
  MeshBackendName,
  TaskAttachment,
  TaskRefusals,
  TaskSockets,
} from '../../src/index.js';

/** What a task's server answers: who it is, and whom it sees. */
export interface Answer {
  readonly task: string;
  readonly address: string;
  readonly port: number;
  /** Whom the PROXY protocol names, with its version: `v1 198.18.0.100 5001`. */
  readonly proxied?: string;
}

export interface Destination {
  readonly host: string;
  readonly port: number;
  readonly localPort?: number;
  readonly localAddress?: string;
  readonly timeoutMs?: number;
}

export interface LoadResult {
  readonly ok: number;
  readonly errors: readonly string[];
  readonly byTask: Readonly<Record<string, number>>;
}

/** An encrypted network with its members. */
export interface LabNetwork {
  readonly subnets: readonly string[];
  readonly members: readonly { readonly nodeId: string; readonly addresses: readonly string[] }[];
}

/** What a process inside a namespace can be asked to do. */
export interface Orders {
  createMesh(options: {
    backend: MeshBackendName;
    checkIntervalMs?: number;
    bindAddresses?: readonly string[];
    udpIdleMs?: number;
    withoutLibrary?: boolean;
    /** With a new key pair for encrypted networks. */
    encrypts?: boolean;
  }): string;
  start(self: MeshPeer): void;
  /** What the mesh offers; undefined when it cannot encrypt. */
  encryption(): MeshEncryption | undefined;
  apply(state: MeshState): { generation: number; ms: number };
  attach(task: TaskAttachment): void;
  adopt(task: TaskAttachment): void;
  detach(taskId: string): void;
  retain(taskIds: readonly string[]): void;
  connections(task: TaskSockets): number;
  listens(task: TaskSockets): boolean;
  servesIpv6(task: TaskSockets): boolean;
  conflicts(): readonly PortConflict[];
  paths(): NodePaths | undefined;
  /** Told so far. */
  refusals(): readonly TaskRefusals[];
  close(options: { keep: boolean }): void;
  /** Makes the parts of a mesh without composing them: for contracts of one part. */
  createParts(options: { backend: MeshBackendName; bindAddresses?: readonly string[] }): void;
  /** Starts all parts but the tunnel, and commits. */
  startParts(self: MeshPeer): void;
  /** The tunnel alone, of the parts. */
  startTunnel(self: MeshPeer): void;
  tunnelMtuBytes(): number;
  reach(peers: readonly MeshPeer[]): readonly string[];
  prune(peers: readonly MeshPeer[]): void;
  isRetryDue(): boolean;
  repairTunnel(): boolean;
  closeTunnel(): void;
  /** The balancer's slice of a state: applied, committed, settled. */
  balance(slice: { peers: readonly MeshPeer[]; ports: readonly MeshPort[] }): void;
  openHostPorts(task: TaskAttachment): void;
  closeHostPorts(taskIds: readonly string[]): void;
  link(task: TaskAttachment): void;
  unlink(taskId: string): void;
  links(): readonly {
    readonly taskId?: string;
    readonly networkId?: string;
    readonly addresses: readonly string[];
  }[];
  retainLinks(taskIds: readonly string[]): void;
  probeConnections(task: TaskSockets): number;
  probeListens(task: TaskSockets): boolean;
  closeParts(): void;
  /** Encryption alone, with a new key pair: of this node, if it can. */
  openEncryption(): { readonly offer?: MeshEncryption; readonly problem: string };
  startEncryption(self: MeshPeer): void;
  encrypt(slice: { peers: readonly MeshPeer[]; networks: readonly LabNetwork[] }): void;
  encryptedDevice(peer: MeshPeer): string;
  /** With another key pair. */
  changeKeys(): MeshEncryption;
  /** What it offers then, and whether `encrypt` has to follow. */
  repairEncryption(): { readonly offer?: MeshEncryption; readonly isDamaged: boolean };
  closeEncryption(options: { keep: boolean }): void;
  /** Warnings and errors logged so far. */
  logged(): string[];
  /** Serves TCP and UDP on a port under a name. */
  serve(options: { name: string; port: number; host?: string }): void;
  /** Stops taking connections; those there are go on. */
  unserve(): void;
  /** One connection, one question, one answer. */
  ask(to: Destination): Answer;
  askUdp(to: Destination): Answer;
  /** Opens a connection that stays; `again` asks on it. */
  open(to: Destination): number;
  again(id: number): Answer;
  /** Ends our half, then reads the answer to a last question. */
  finish(id: number): string;
  /** Ends our half, and waits until the server knows; it keeps its own until `release`. */
  halfClose(id: number): void;
  /** The next line that the server sends by itself. */
  line(id: number): string;
  /** Of a server: sends a line to each client that has half-closed. */
  tell(line: string): void;
  /** Of a server: ends the other half too, with a last line. */
  release(): void;
  end(id: number): void;
  upload(to: Destination & { bytes: number }): number;
  /** Offers bytes to a server that reads none; resolves when nothing moves for 300 ms. */
  flood(to: Destination & { bytes: number }): number;
  loadStart(to: Destination & { workers: number }): void;
  /** Good answers so far, by task. */
  loadCounts(): Readonly<Record<string, number>>;
  loadStop(): LoadResult;
  /**
   * Changes one endpoint at a time among `ports` ports of `endpoints` each, by deltas or whole states; milliseconds
   * of each.
   */
  measureUpdates(options: {
    peers: readonly MeshPeer[];
    ports: number;
    endpoints: number;
    rounds: number;
    isWhole?: boolean;
  }): number[];
  /** Opens and ends connections one after another; milliseconds until each is open. */
  measureConnects(to: Destination & { rounds: number }): number[];
  /**
   * One network with a task here and `services` services of `members` tasks each on other nodes. Milliseconds of the
   * first state, of each change of one member (also of the processor), and of each attach.
   */
  measureVips(options: {
    peers: readonly MeshPeer[];
    task: TaskAttachment;
    services: number;
    members: number;
    rounds: number;
  }): Record<'serving' | 'servingCpu' | 'moving' | 'attaching', number[]> & { firstMs: number };
  pid(): number;
  rssBytes(): number;
  /** Processor time of this process so far, all threads. */
  processorMs(): { user: number; system: number };
}
