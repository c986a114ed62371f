import type { Clock, Logger, Node, Timer } from '@swarm/api';
import { COPIES_LIMIT, COPY_LOG_MS, COPY_NAMED_MS, HEIR_AFTER_MS } from './limits.js';

interface Copies {
  /** Runs that were refused, the newest last. */
  readonly instances: Set<string>;
  /** Where the last one connected from. */
  address: string;
  timer: Timer;
  loggedAtMs: number;
  /** When the daemon that has the node lost its session; undefined while it has one. */
  lostAtMs: number | undefined;
  knownAddress: string;
}

/** A daemon that was refused. */
export interface RefusedCopy {
  readonly instance: string;
  readonly address: string;
  /** Where the daemon that has the node connects from. */
  readonly knownAddress: string;
}

export interface NodeCopiesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** `observe` of this node has changed. */
  readonly changed: (nodeId: string) => void;
}

/** Second daemons with a node's identity that were refused lately, for the node's status and the log. */
export class NodeCopies {
  readonly #options: NodeCopiesOptions;
  readonly #byNode = new Map<string, Copies>();

  constructor(options: NodeCopiesOptions) {
    this.#options = options;
  }

  refused(nodeId: string, { instance, address, knownAddress }: RefusedCopy): void {
    const { clock, logger, changed } = this.#options;
    const before = this.#byNode.get(nodeId);
    clock.clearTimeout(before?.timer);
    const nowMs = clock.monotonicMs();
    const isLogged = before !== undefined && nowMs - before.loggedAtMs < COPY_LOG_MS;
    const timer = clock.setTimeout(() => {
      this.#byNode.delete(nodeId);
      changed(nodeId);
    }, COPY_NAMED_MS);
    const instances = before?.instances ?? new Set();
    instances.delete(instance);
    instances.add(instance);
    if (instances.size > COPIES_LIMIT) instances.delete(instances.values().next().value!);
    const loggedAtMs = isLogged ? before.loggedAtMs : nowMs;
    const lostAtMs = before?.lostAtMs;
    this.#byNode.set(nodeId, { instances, address, timer, loggedAtMs, lostAtMs, knownAddress });
    if (!isLogged) {
      logger.warn(
        { nodeId, address, knownAddress },
        'refused a second daemon with the identity of a node: its data folder was copied',
      );
    }
    if (before?.address !== address) changed(nodeId);
  }

  /** The daemon that has the node got its session back, or lost it. */
  connected(nodeId: string, isConnected: boolean): void {
    const copies = this.#byNode.get(nodeId);
    if (copies === undefined) return;
    if (isConnected) copies.lostAtMs = undefined;
    else copies.lostAtMs ??= this.#options.clock.monotonicMs();
  }

  /**
   * Whether a daemon that was refused before must leave the node, which has no session now, to the one that had
   * it: that one may only be restarting, and its tasks run on. @returns where it was; undefined when it need not
   */
  rivalOf(nodeId: string, instance: string): string | undefined {
    const copies = this.#byNode.get(nodeId);
    if (copies?.lostAtMs === undefined || !copies.instances.has(instance)) return undefined;
    const awayMs = this.#options.clock.monotonicMs() - copies.lostAtMs;
    return awayMs < HEIR_AFTER_MS ? copies.knownAddress : undefined;
  }

  forget(nodeId: string): void {
    this.#options.clock.clearTimeout(this.#byNode.get(nodeId)?.timer);
    this.#byNode.delete(nodeId);
  }

  stop(): void {
    for (const nodeId of [...this.#byNode.keys()]) this.forget(nodeId);
  }

  /** Adds to a node's status that there is a second daemon. */
  observe(node: Node): Node {
    const copy = this.#byNode.get(node.ID);
    if (copy === undefined || node.Status.State !== 'ready') return node;
    // What is stored of a node that lost its session a moment ago may name a second daemon already.
    const said = (node.Status.Message?.split('; ') ?? []).filter((part) => !isCopyMessage(part));
    const Message = [...said, copyMessage(copy.address)].join('; ');
    return { ...node, Status: { ...node.Status, Message } };
  }
}

/** How the message of `copyMessage` begins. */
const COPY_MESSAGE = 'a second daemon, at ';

function isCopyMessage(text: string): boolean {
  return text.startsWith(COPY_MESSAGE);
}

/** What the node's status says. */
function copyMessage(address: string): string {
  return `a second daemon, at ${address}, runs with this node's identity and is refused: run \`docker swarm leave --force\` there, then join again`;
}

/** What the second daemon hears. @param knownAddress where the first one is */
export function copyReason(nodeId: string, knownAddress: string): string {
  return `another daemon, at ${knownAddress}, already runs as node ${nodeId}, so this one gets no tasks: if the data folder was copied to this host, run \`docker swarm leave --force\` here, then join again; if this host should be the node, stop the other daemon`;
}
