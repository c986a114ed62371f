import type { IpAddress } from '@swarm/api';
import { readQuery, type DnsQuery, type QueryHead, RCODE } from './dns-query.js';
import {
  type ReplyLimit,
  TCP_LIMIT,
  udpLimit,
  writeRefusal,
  writeReply,
  writeTruncated,
} from './dns-reply.js';
import { ForwardRoom } from './forward-room.js';
import { type Asker, answerFrom } from './name-answer.js';
import { changeBook } from './book-changes.js';
import { NameBook } from './name-book.js';
import type { BookChange, ResolverOrder, ResolverTask } from './resolver-orders.js';

/** How a question came. */
export type Transport = 'udp' | 'tcp';

/** Sends an answer to whoever asked. */
export type Reply = (answer: Buffer) => void;

/** The sockets on which one task asks. */
export interface QuestionSockets {
  /** Whether they are still in the namespace that has this path. */
  isIn(netns: string): Promise<boolean>;
  /** Asks name servers from within the task's namespace; undefined where this host cannot. */
  readonly upstream: Upstream | undefined;
  close(): void;
}

/** Opens sockets in tasks' namespaces. */
export interface QuestionPlaces {
  /**
   * Listens at 127.0.0.11:53, over UDP and TCP.
   * @throws when the namespace is gone
   */
  open(
    netns: string,
    receive: (question: Uint8Array, transport: Transport, reply: Reply) => void,
  ): Promise<QuestionSockets>;
}

/** Asks other name servers. */
export interface Upstream {
  /**
   * @param question as the client sent it
   * @param servers asked in turn; absent: the host's
   * @returns the first answer, with the client's id; undefined if no server gave one in time
   */
  ask(
    question: Uint8Array,
    transport: Transport,
    servers?: readonly IpAddress[],
  ): Promise<Buffer | undefined>;
}

export interface NameResolverOptions {
  readonly places: QuestionPlaces;
  /** Asks from the host's namespace. */
  readonly upstream: Upstream;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

interface Task {
  readonly asker: Asker;
  readonly order: ResolverTask;
  sockets: QuestionSockets | undefined;
}

/** Most changes that wait for the last part of an order; more than the largest cluster has names. */
const STAGED_LIMIT = 4_000_000;

/**
 * The resolver of a node: does what its daemon orders, and answers its tasks. Orders come one at a time; questions
 * come whenever they like.
 */
export class NameResolver {
  readonly #options: NameResolverOptions;
  readonly #book = new NameBook();
  readonly #tasks = new Map<string, Task>();
  readonly #room = new ForwardRoom();
  #staged: BookChange[] = [];

  constructor(options: NameResolverOptions) {
    this.#options = options;
  }

  /** How many tasks it answers. */
  get size(): number {
    return this.#tasks.size;
  }

  /** @throws when an order cannot be done; then it changes nothing */
  async obey(order: Exclude<ResolverOrder, { type: 'end' }>): Promise<void> {
    if (order.type === 'change') this.#change(order.changes, order.isLast);
    else if (order.type === 'attach') await this.#attach(order.task);
    else if (order.type === 'detach') for (const taskId of order.taskIds) this.#detach(taskId);
    else {
      const kept = new Set(order.taskIds);
      for (const taskId of this.#tasks.keys()) if (!kept.has(taskId)) this.#detach(taskId);
    }
  }

  /** Another daemon gives orders: parts of what the one before told are void. */
  startOver(): void {
    this.#staged = [];
  }

  close(): void {
    for (const taskId of this.#tasks.keys()) this.#detach(taskId);
  }

  #change(changes: readonly BookChange[], isLast: boolean): void {
    if (this.#staged.length + changes.length > STAGED_LIMIT) {
      this.#staged = [];
      throw new RangeError(`more than ${STAGED_LIMIT} changes of names at a time`);
    }
    for (const change of changes) this.#staged.push(change);
    if (!isLast) return;
    const staged = this.#staged;
    this.#staged = [];
    for (const change of staged) changeBook(this.#book, change);
  }

  async #attach(order: ResolverTask): Promise<void> {
    const { taskId, netns, networks, names, isClosed } = order;
    const before = this.#tasks.get(taskId);
    const asker = { taskId, networks, names, isClosed };
    const task: Task = { asker, order, sockets: undefined };
    if (before?.sockets !== undefined && (await before.sockets.isIn(netns))) {
      task.sockets = before.sockets;
      this.#tasks.set(taskId, task);
      return;
    }
    before?.sockets?.close();
    this.#tasks.delete(taskId);
    task.sockets = await this.#options.places.open(netns, (question, transport, reply) => {
      // The task as it is now: it may have been attached again with other networks.
      const now = this.#tasks.get(taskId);
      if (now !== undefined) this.#answer(now, question, transport, reply);
    });
    if (order.nameservers.length > 0 && task.sockets.upstream === undefined) {
      task.sockets.close();
      throw new Error(
        `task ${taskId} has name servers of its own, which needs the npm package koffi on this node: install it, or remove DNSConfig.Nameservers`,
      );
    }
    this.#tasks.set(taskId, task);
  }

  #detach(taskId: string): void {
    this.#tasks.get(taskId)?.sockets?.close();
    this.#tasks.delete(taskId);
  }

  #answer(task: Task, bytes: Uint8Array, transport: Transport, reply: Reply): void {
    const read = readQuery(bytes);
    if (read.kind === 'ignored') return;
    if (read.kind === 'refused') {
      reply(writeRefusal(read.head, read.rcode));
      return;
    }
    const { query } = read;
    const answer = answerFrom(this.#book, task.asker, query, this.#options.random);
    if (answer.kind === 'forward') this.#forward(task, bytes, query, transport, reply);
    else if (answer.kind === 'unknown') reply(writeRefusal(query, RCODE.NXDOMAIN));
    else reply(writeReply(query, RCODE.NOERROR, answer.records, limitOf(query, transport)));
  }

  #forward(
    task: Task,
    bytes: Uint8Array,
    query: DnsQuery,
    transport: Transport,
    reply: Reply,
  ): void {
    const leave = this.#room.enter(task.order.taskId);
    if (leave === undefined) {
      reply(writeRefusal(query, RCODE.SERVFAIL));
      return;
    }
    const { nameservers } = task.order;
    const asked =
      nameservers.length > 0 && task.sockets?.upstream !== undefined
        ? task.sockets.upstream.ask(bytes, transport, nameservers)
        : this.#options.upstream.ask(bytes, transport);
    void asked
      .catch(() => undefined)
      .then((answer) => {
        leave();
        reply(fit(answer, query, transport));
      });
  }
}

/** What the client gets of another server's answer. */
function fit(answer: Buffer | undefined, query: DnsQuery, transport: Transport): Buffer {
  if (answer === undefined) return writeRefusal(query, RCODE.SERVFAIL);
  if (transport === 'tcp') return answer;
  if (answer.length <= query.udpBytes) return answer;
  // Other servers mind the same limit; one that does not must not make ours send more than the client takes.
  return writeTruncated(query);
}

function limitOf(query: QueryHead, transport: Transport): ReplyLimit {
  return transport === 'udp' ? udpLimit(query) : TCP_LIMIT;
}
