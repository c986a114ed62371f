import type { AgentHello, Clock, Logger, Node } from '@swarm/api';
import type { View } from '../store/store.js';
import { Contests } from './contests.js';
import * as limits from './limits.js';
import type { Liveness } from './liveness.js';
import { copyReason, NodeCopies } from './node-copies.js';
import { isElsewhere } from './node-states.js';
import type { DispatcherSession } from './session.js';

export interface RegistrarOptions {
  readonly view: View;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sessions that have their node. */
  readonly sessions: ReadonlyMap<string, DispatcherSession>;
  readonly liveness: Liveness;
  readonly heartbeatMs: () => number;
  /** Gives the node to this session. */
  readonly enter: (session: DispatcherSession, hello: AgentHello) => void;
  /** `observe` of this node has changed. */
  readonly changed: (nodeId: string) => void;
}

/** Decides which session has a node: of two daemons with one identity, the one that had it keeps it. */
export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #contests: Contests;
  readonly #copies: NodeCopies;
  #isStopped = false;

  constructor(options: RegistrarOptions) {
    const { clock, logger, changed } = options;
    this.#options = options;
    this.#contests = new Contests(clock);
    this.#copies = new NodeCopies({ clock, logger, changed });
  }

  /** Takes a hello: lets the session enter, wait for a decision, or end with the reason. */
  register(session: DispatcherSession, hello: AgentHello): void {
    this.#options.clock.clearTimeout(session.helloTimer);
    session.hello = hello;
    if (!this.#isKnown(session)) return;
    const awaited = this.#copies.rivalOf(session.nodeId, hello.instance ?? '');
    if (awaited !== undefined) {
      this.#refuseCopy(session, hello, awaited);
      return;
    }
    const rival = this.#rivalOf(session, hello);
    if (rival === undefined) this.#options.enter(session, hello);
    else this.#contest(session, hello, rival);
  }

  /** Whether the session said hello and waits for a decision. */
  isWaiting(session: DispatcherSession): boolean {
    return this.#contests.isWaiting(session);
  }

  /** The other side answered a ping. */
  answered(session: DispatcherSession): void {
    this.#contests.answered(session);
  }

  /** The node has a session now: whoever waits for it is refused. */
  entered(nodeId: string): void {
    this.#copies.connected(nodeId, true);
    this.#contests.returned(nodeId);
  }

  /** The node has no session now. */
  left(nodeId: string): void {
    this.#copies.connected(nodeId, false);
  }

  /** A connection closed, whether it had a node or not. */
  closed(session: DispatcherSession): void {
    this.#contests.closed(session);
  }

  /** The node is removed. */
  forget(nodeId: string): void {
    this.#copies.forget(nodeId);
  }

  /** Adds to a node's status that there is a second daemon. */
  observe(node: Node): Node {
    return this.#copies.observe(node);
  }

  stop(): void {
    this.#isStopped = true;
    this.#contests.stop();
    this.#copies.stop();
  }

  /** Ends the session of a node that the store does not have, with the reason. */
  #isKnown(session: DispatcherSession): boolean {
    const { view } = this.#options;
    const { nodeId } = session;
    if (view.get('node', nodeId) !== undefined) return true;
    const aside = view.setAside('node', nodeId);
    if (aside !== undefined) {
      session.end(
        `the stored node object cannot be read (${aside.reason}): remove the node with --force, then join again`,
      );
      return false;
    }
    session.end(
      'this node is not in the cluster any more: run `docker swarm leave --force` on it, then join again',
      true,
    );
    return false;
  }

  /**
   * The other daemon that may live as this node: one with a session, or `expected` when it lost its session a
   * moment ago. Undefined when only one can, as far as this leader knows: programs that name no instance, a node
   * that is down, or a new run at the node's own address.
   */
  #rivalOf(
    session: DispatcherSession,
    { instance }: AgentHello,
  ): DispatcherSession | 'expected' | undefined {
    const { view, sessions, liveness } = this.#options;
    const { nodeId, peer } = session;
    if (instance === undefined) return undefined;
    const previous = sessions.get(nodeId);
    if (previous !== undefined) {
      const known = previous.hello?.instance;
      return known === undefined || known === instance || previous.ended ? undefined : previous;
    }
    const { Status } = view.get('node', nodeId)!;
    if (!liveness.isWatched(nodeId)) return undefined;
    if (Status.Instance === undefined || Status.Instance === instance) return undefined;
    return isElsewhere(Status.Addr, peer.remoteAddress) ? 'expected' : undefined;
  }

  #contest(
    session: DispatcherSession,
    hello: AgentHello,
    rival: DispatcherSession | 'expected',
  ): void {
    const { sessions, liveness, heartbeatMs, enter } = this.#options;
    const { nodeId } = session;
    const isExpected = rival === 'expected';
    const limitMs = isExpected ? limits.RIVAL_RETURN_MS : limits.RIVAL_ANSWER_MS;
    // One of the two will have the node; it must not count as down while they wait.
    liveness.extend(nodeId, limitMs + limits.HEARTBEATS_MISSED * heartbeatMs());
    const decide = (isRivalAlive: boolean): void => {
      if (this.#isStopped || session.ended || !this.#isKnown(session)) return;
      if (!isRivalAlive) {
        enter(session, hello);
        return;
      }
      const known = sessions.get(nodeId)?.peer.remoteAddress ?? '';
      this.#refuseCopy(session, hello, known);
    };
    // A socket that rests after a flood would not hear the answer.
    if (!isExpected && rival.paused) decide(true);
    else this.#contests.begin(session, isExpected ? undefined : rival, limitMs, decide);
  }

  #refuseCopy(session: DispatcherSession, { instance = '' }: AgentHello, known: string): void {
    const { nodeId, peer } = session;
    session.endCopy(copyReason(nodeId, known));
    const address = peer.remoteAddress;
    this.#copies.refused(nodeId, { instance, address, knownAddress: known });
  }
}
