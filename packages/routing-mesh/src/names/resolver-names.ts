import { type Clock, type Logger, SerialQueue, type Timer } from '@swarm/api';
import type { TaskId } from '../layout.js';
import {
  type BookChange,
  RESOLVER_ADDRESS,
  type ResolverOrder,
  type ResolverTask,
} from './resolver-orders.js';
import {
  type ResolverConnection,
  type ResolverProcess,
  ResolverRefusal,
} from './resolver-process.js';
import { parts, SentNames } from './sent-names.js';
import type { NamedTask, NamesSlice, ServiceNames } from './service-names.js';

/** An order that takes longer has met a resolver that hangs. */
const ORDER_LIMIT_MS = 5_000;
/** After a failure, the next start of a resolver waits this long. */
const RESTART_MS = 500;

export interface ResolverNamesOptions {
  readonly resolver: ResolverProcess;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Names from a resolver in a process of its own. This class holds what the process should know, tells it what
 * changed, and starts it again with everything when it is gone. The process is started for the first task with names,
 * and ends by itself some time after the last.
 */
export class ResolverNames implements ServiceNames {
  readonly #options: ResolverNamesOptions;
  /** Everything that is said to the resolver, in order. */
  readonly #queue = new SerialQueue();
  readonly #tasks = new Map<TaskId, NamedTask>();
  /** False before the first state: the resolver keeps what an earlier daemon told it. */
  #hasState = false;
  readonly #sent = new SentNames();
  /** How often a resolver was told everything. */
  #timesWhole = 0;
  #connection: ResolverConnection | undefined;
  #restart: Timer | undefined;
  #isClosed = false;

  constructor(options: ResolverNamesOptions) {
    this.#options = options;
  }

  async apply({ networks, touched }: NamesSlice): Promise<void> {
    this.#hasState = true;
    const isIdle = this.#tasks.size === 0 && this.#connection === undefined;
    if (isIdle) this.#sent.forget();
    const changes = this.#sent.changesTo(networks, touched);
    if (isIdle) return;
    try {
      const told = this.#timesWhole;
      await this.#say(async (connection) => {
        // One that was opened meanwhile has been told everything, with these.
        if (this.#timesWhole === told) await this.#send(connection, changes);
      });
    } catch (error) {
      // Nothing answers any more, so nobody is told a stale name; the state need not wait for the next resolver.
      this.#options.logger.error({ err: error }, 'tasks of this node find no names at the moment');
      this.#restartLater();
    }
  }

  async attach(task: NamedTask): Promise<void> {
    const before = this.#tasks.get(task.taskId);
    this.#tasks.set(task.taskId, task);
    try {
      await this.#say((connection) => ordered(this.#options.clock, connection, attachOrder(task)));
    } catch (error) {
      if (before === undefined) this.#tasks.delete(task.taskId);
      else this.#tasks.set(task.taskId, before);
      throw error;
    }
  }

  async detach(taskIds: readonly TaskId[]): Promise<void> {
    const known = taskIds.filter((taskId) => this.#tasks.delete(taskId));
    if (known.length > 0) await this.#tell({ type: 'detach', taskIds: known });
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    for (const taskId of this.#tasks.keys()) if (!taskIds.has(taskId)) this.#tasks.delete(taskId);
    await this.#tell({ type: 'retain', taskIds: [...taskIds] });
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { clock, resolver, logger } = this.#options;
    clock.clearTimeout(this.#restart);
    await this.#queue.run(async () => {
      const connection = this.#connection;
      this.#connection = undefined;
      if (keep) {
        connection?.close();
        return;
      }
      try {
        await this.#end(connection ?? (await resolver.open({ mayStart: false })));
      } catch (error) {
        logger.warn({ err: error }, 'the resolver of names did not end by itself');
      }
      // Also one of another version, which takes no orders of ours.
      await resolver.kill();
    });
  }

  /** Tells a resolver, if one runs. What it misses does no harm: it ends, or is told everything later. */
  async #tell(order: ResolverOrder): Promise<void> {
    const { resolver, clock, logger } = this.#options;
    await this.#queue.run(async () => {
      if (this.#isClosed) return;
      try {
        this.#connection ??= this.#watched(await resolver.open({ mayStart: false }));
        if (this.#connection !== undefined) await ordered(clock, this.#connection, order);
      } catch (error) {
        logger.warn({ err: error }, 'the resolver of names does not answer; starting another');
        await this.#drop();
        this.#restartLater();
      }
    });
  }

  /** Says something to a resolver that runs and knows everything else; starts one if need be. */
  #say(work: (connection: ResolverConnection) => Promise<void>): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#isClosed) throw new Error('mesh: closed');
      try {
        await work(await this.#connected());
      } catch (error) {
        if (error instanceof ResolverRefusal || this.#isClosed) throw error;
        this.#options.logger.warn({ err: error }, 'starting the resolver of names again');
        await this.#drop();
        try {
          await work(await this.#connected());
        } catch (again) {
          if (!(again instanceof ResolverRefusal)) await this.#drop();
          throw again;
        }
      }
    });
  }

  /** Only within the queue. */
  async #connected(): Promise<ResolverConnection> {
    if (this.#connection !== undefined) return this.#connection;
    const { resolver, clock, logger } = this.#options;
    const connection = (await resolver.open({ mayStart: true }))!;
    this.#connection = this.#watched(connection);
    this.#sent.forget();
    if (this.#hasState) {
      this.#timesWhole += 1;
      await this.#send(connection, this.#sent.everything());
    }
    for (const task of this.#tasks.values()) {
      try {
        await ordered(clock, connection, attachOrder(task));
      } catch (error) {
        if (!(error instanceof ResolverRefusal)) throw error;
        logger.error({ err: error, taskId: task.taskId }, 'a task finds no names');
      }
    }
    return connection;
  }

  async #send(connection: ResolverConnection, changes: readonly BookChange[]): Promise<void> {
    if (changes.length === 0) return;
    const each = parts(changes);
    for (const [at, part] of each.entries()) {
      const isLast = at === each.length - 1;
      const order: ResolverOrder = { type: 'change', changes: part, isLast };
      await ordered(this.#options.clock, connection, order);
    }
  }

  #watched(connection: ResolverConnection | undefined): ResolverConnection | undefined {
    if (connection === undefined) return undefined;
    this.#sent.forget();
    connection.onEnd(() => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      if (this.#tasks.size > 0) this.#restartLater(0);
    });
    return connection;
  }

  /** Only within the queue: ends a resolver that does not do what it should. */
  async #drop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
    await this.#options.resolver.kill();
  }

  #restartLater(afterMs = RESTART_MS): void {
    const { clock, logger } = this.#options;
    clock.clearTimeout(this.#restart);
    if (this.#isClosed) return;
    this.#restart = clock.setTimeout(() => {
      if (this.#isClosed || this.#tasks.size === 0) return;
      this.#say(async () => {}).catch((error: unknown) => {
        logger.error({ err: error }, 'could not start the resolver of names');
        this.#restartLater();
      });
    }, afterMs);
  }

  async #end(connection: ResolverConnection | undefined): Promise<void> {
    if (connection === undefined) return;
    await ordered(this.#options.clock, connection, { type: 'end' });
    connection.close();
  }
}

/** @throws when it takes too long, as when the connection is lost */
async function ordered(
  clock: Clock,
  connection: ResolverConnection,
  order: ResolverOrder,
): Promise<void> {
  let timer: Timer;
  const late = new Promise<never>((_resolve, reject) => {
    timer = clock.setTimeout(
      () => reject(new Error(`the resolver of names did not answer for ${ORDER_LIMIT_MS} ms`)),
      ORDER_LIMIT_MS,
    );
  });
  try {
    await Promise.race([connection.order(order), late]);
  } finally {
    clock.clearTimeout(timer);
  }
}

function attachOrder(task: NamedTask): ResolverOrder {
  return { type: 'attach', task: resolverTask(task) };
}

function resolverTask({ taskId, netns, attachments, names, nameservers }: NamedTask): ResolverTask {
  return {
    taskId,
    netns,
    networks: attachments
      .filter(({ overlay }) => overlay !== undefined)
      .map(({ networkId, addresses }) => ({ networkId, addresses })),
    names,
    // It would be asked by itself.
    nameservers: nameservers.filter((address) => address !== RESOLVER_ADDRESS),
    isClosed: attachments.every(({ overlay }) => overlay?.isInternal === true),
  };
}
