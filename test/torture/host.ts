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
  /** For folders and the log of what the processes print. */
  readonly folder: string;
  readonly routes: Readonly<Record<string, number>>;
  readonly breakage: Breakage;
  /** @param who the member, in one of its lives */
  readonly onTold: (who: string, what: Told) => void;
  /** The process ended, and nobody had asked it to. */
  readonly onDeath: (host: MemberHost, how: string) => void;
}

/** A host: one process at a time, under the id of the member that it is now. */
export class MemberHost {
  readonly place: number;
  readonly nodeId: string;
  /** Path of what its processes printed. */
  readonly logPath: string;
  /** Of the member, from the first start on. */
  id = 0;
  private readonly options: HostOptions;
  private readonly output: number;
  /** How many processes there were: one that leads after a restart is another leader. */
  private life = 0;
  private child: Child | undefined;
  private startedChild: Child | undefined;
  /** Also those that are ending. */
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

  /** Takes part, as far as anybody knows; it may be stopped. */
  get isUp(): boolean {
    return this.startedChild !== undefined;
  }

  get isPaused(): boolean {
    return this.isStopped;
  }

  /**
   * Starts a process. Without founders and seeds: again, on what is in the folder.
   * @returns what became of it; a member that refuses to start is gone when this resolves.
   */
  async start(who: Pick<MemberStart, 'founders' | 'seeds'> = {}): Promise<Started> {
    const { identity, routes, breakage, onTold, onDeath } = this.options;
    if (this.child !== undefined) throw new Error(`${this.nodeId} runs already`);
    if (this.isClosed) throw new Error('the torture has ended');
    // At once, so that whoever kills it next has something to kill.
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

  /** Also a stopped one. Resolves when it is gone. */
  async kill(): Promise<void> {
    const { child } = this;
    this.forget();
    await child?.kill();
  }

  /** As a service manager does. @throws when it takes too long, or fails */
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
    throw new Error(`${this.nodeId} did not end in order: ${how}`);
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

  /** For a parent that ends at once: a stopped process would not notice. */
  killNow(): void {
    for (const child of this.running) child.signal('SIGKILL');
  }

  /** Nothing runs any more, and nothing will. */
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
