import { closeSync, mkdirSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MemberInfo } from '@swarm/raft';
import type { NodeIdentity } from '@swarm/identity';
import { Child } from '../bench/raft/child.js';
import type { Breakage, MemberStart, Started, Told } from './member-protocol.js';

const PROGRAM = join(import.meta.dirname, 'member.js');
/** Orderly stops hand leadership over first. */
const STOP_LIMIT_MS = 20_000;

export interface HostOptions {
  readonly place: number;
  readonly nodeId: string;
  readonly identity: NodeIdentity;
  /** For folders and the output of the processes. */
  readonly folder: string;
  readonly routes: Readonly<Record<string, number>>;
  readonly breakage: Breakage;
  /** @param who the member, in one of its runs */
  readonly onTold: (who: string, what: Told) => void;
  /** Called when the process ends without a request. */
  readonly onDeath: (host: MemberHost, how: string) => void;
}

/** A host: one process at a time, under the id of its current member. */
export class MemberHost {
  readonly place: number;
  readonly nodeId: string;
  /** Path of the output of its processes. */
  readonly logPath: string;
  /** The current member's id, from the first start on. */
  id = 0;
  private readonly options: HostOptions;
  private readonly output: number;
  /** Number of processes so far: after a restart, a leader counts as another one. */
  private life = 0;
  private child: Child | undefined;
  private startedChild: Child | undefined;
  /** Includes processes that are ending. */
  private readonly running = new Set<Child>();
  private isStopped = false;
  private isClosed = false;

  constructor(options: HostOptions) {
    this.options = options;
    this.place = options.place;
    this.nodeId = options.nodeId;
    this.logPath = join(options.folder, `${options.nodeId}.log`);
    this.output = openSync(this.logPath, 'a');
  }

  get info(): MemberInfo {
    // Nobody dials it: see `routes`.
    return { id: this.id, nodeId: this.nodeId, address: this.nodeId };
  }

  /** Where this member's log, identity and state are. */
  get folder(): string {
    return join(this.options.folder, this.nodeId);
  }

  /** True while it takes part, as far as anybody knows; it may be paused. */
  get isUp(): boolean {
    return this.startedChild !== undefined;
  }

  get isPaused(): boolean {
    return this.isStopped;
  }

  /**
   * Starts a process. Without founders and seeds, it restarts on the content of the folder.
   * @returns the outcome; a member that refuses to start is gone when this resolves
   */
  async start(who: Pick<MemberStart, 'founders' | 'seeds'> = {}): Promise<Started> {
    const { identity, routes, breakage, onTold, onDeath } = this.options;
    if (this.child !== undefined) throw new Error(`${this.nodeId} already runs`);
    if (this.isClosed) throw new Error('the torture has ended');
    // At once, so that the next kill has a process.
    mkdirSync(this.folder, { recursive: true });
    this.life++;
    const name = `member ${this.id} in life ${this.life}`;
    const child = new Child(PROGRAM, {
      output: this.output,
      onTold: (what) => onTold(name, what as Told),
    });
    this.child = child;
    this.running.add(child);
    void child.ended.then((how) => {
      this.running.delete(child);
      if (this.child !== child) return;
      this.forget();
      onDeath(this, how);
    });
    const start: MemberStart = {
      self: this.info,
      folder: this.folder,
      identity,
      routes,
      breakage,
      ...who,
    };
    const started = await child.call<Started>('start', start);
    if ('refused' in started) await this.kill();
    else if (this.child === child) this.startedChild = child;
    return started;
  }

  /** @throws when the process ends first, or does not run */
  call<Result>(method: string, argument?: unknown): Promise<Result> {
    if (this.child === undefined) return Promise.reject(new Error(`${this.nodeId} does not run`));
    return this.child.call<Result>(method, argument);
  }

  /** Kills the process, even a paused one. Resolves when it is gone. */
  async kill(): Promise<void> {
    const { child } = this;
    this.forget();
    await child?.kill();
  }

  /** Stops it as a service manager does. @throws when that takes too long, or fails */
  async terminate(): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    this.forget();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`not within ${STOP_LIMIT_MS} ms`), STOP_LIMIT_MS);
    });
    void child.kill('SIGTERM');
    const how = await Promise.race([child.ended, late]);
    clearTimeout(timer);
    if (how === '0' || this.isClosed) return;
    await child.kill();
    throw new Error(`${this.nodeId} did not stop in an orderly way: ${how}`);
  }

  pause(): void {
    this.isStopped = true;
    this.child?.signal('SIGSTOP');
  }

  resume(): void {
    this.isStopped = false;
    this.child?.signal('SIGCONT');
  }

  async wipe(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** For a parent that ends at once: a paused process would not notice. */
  killNow(): void {
    for (const child of this.running) child.signal('SIGKILL');
  }

  /** Ends everything that runs, for good. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.forget();
    await Promise.all([...this.running].map((child) => child.kill()));
    closeSync(this.output);
  }

  private forget(): void {
    this.child = undefined;
    this.startedChild = undefined;
    this.isStopped = false;
  }
}
