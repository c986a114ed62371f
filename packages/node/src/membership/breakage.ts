import { type Logger, type Node, ourCommands } from '@swarm/api';

export interface BreakageOptions {
  readonly logger: Logger;
  /** Drops what is left of the Raft member. */
  readonly dropMember: () => Promise<void>;
  /** Whether the process ends or the node has left. */
  readonly isOver: () => boolean;
  /** The node takes part again; its role follows what the leader said last. */
  readonly mended: (node: Node) => void;
}

/** Why a node cannot take part in its cluster until it leaves, or until the cluster lets it go on as a worker. */
export class Breakage {
  readonly #options: BreakageOptions;
  #reason = '';
  /** Whether log or state of the Raft member are unusable. */
  #isDamaged = false;
  #isRemoved = false;
  /** As the leader sent it last. */
  #node: Node | undefined;

  constructor(options: BreakageOptions) {
    this.#options = options;
  }

  /** Empty while the node takes part. */
  get reason(): string {
    return this.#reason;
  }

  set(reason: string): void {
    this.#reason = reason;
    this.#options.logger.error(
      { reason: ourCommands(reason) },
      'this node cannot take part in the cluster',
    );
  }

  /** Log or state of its Raft member are unusable. */
  damaged({ message }: Error): void {
    this.#isDamaged = true;
    this.set(
      `${message} Demote the node, and it goes on as a worker; or, on this node: ` +
        "'docker swarm leave --force', then join again. Its tasks run until then.",
    );
  }

  /** The cluster removed the node. Returns false when that is known already. */
  removed(reason: string): boolean {
    if (this.#isRemoved) return false;
    this.#isRemoved = true;
    // A refused handshake names the way out already, the end of a session does not.
    const hasAdvice = reason.includes('swarm leave --force');
    this.set(
      hasAdvice ? reason : `${reason}; on this node: 'docker swarm leave --force', then join again`,
    );
    return true;
  }

  /**
   * Takes the node as the leader sends it. Once the group has no member of it, drops what is left of a damaged
   * one; also when the node should be a manager again already, as it joins under a new id then.
   * @returns whether the node's role may follow it now
   */
  heard(node: Node): boolean {
    this.#node = node;
    if (!this.#isDamaged || node.RaftID !== undefined) return true;
    this.#isDamaged = false;
    const { dropMember, isOver, mended, logger } = this.#options;
    dropMember()
      .then(() => {
        if (isOver() || this.#isRemoved) return;
        this.#reason = '';
        mended(this.#node ?? node);
      })
      .catch((error: unknown) => {
        this.#isDamaged = true;
        logger.warn({ err: error }, 'the damaged Raft member could not be dropped');
      });
    return false;
  }

  /** The node has left. */
  forget(): void {
    this.#reason = '';
    this.#isDamaged = false;
    this.#isRemoved = false;
    this.#node = undefined;
  }
}
