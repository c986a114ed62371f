import { type ConfChange, ConfChangeError, decodeConfChange } from '../../src/core/conf-change.js';
import { DEFAULT_CONFIG, type RaftConfig } from '../../src/core/config.js';
import { describeConf, describeEntry, describeMessage } from '../../src/core/describe.js';
import { type Message, MessageType } from '../../src/core/message.js';
import { type AppendWork, RaftCore, type Ready } from '../../src/core/raw-node.js';
import {
  type ConfState,
  type Entry,
  EntryKind,
  type HardState,
  type Index,
  type MemberId,
  type SnapshotMeta,
  type Term,
} from '../../src/core/types.js';

/** What survives a crash: exactly what completed writes put there. */
export interface Disk {
  hardState: HardState;
  base: { index: Index; term: Term };
  baseConf: ConfState;
  entries: Entry[];
}

export type MemberOptions = Partial<Omit<RaftConfig, 'id' | 'random'>> & { timeout?: number };

const text = new TextDecoder();

/** One member on the stage: a core, a disk, and the work that the core handed out. */
export class ScenarioMember {
  readonly id: MemberId;
  readonly disk: Disk;
  core: RaftCore;
  /** False while crashed. */
  up = true;
  /** Handed out but not done, oldest first. */
  writes: AppendWork[] = [];
  applies: (readonly Entry[])[] = [];
  /** Everything given to the state machine, by index; a snapshot adds nothing. */
  readonly applied = new Map<Index, Entry>();
  private readonly options: MemberOptions;
  /** The election timeout to draw, in ticks. */
  timeout: number;
  private confs: { index: Index; conf: ConfState }[];

  constructor(id: MemberId, disk: Disk, options: MemberOptions) {
    const { timeout, ...config } = options;
    this.id = id;
    this.disk = disk;
    this.options = config;
    this.timeout = timeout ?? config.electionTicks ?? DEFAULT_CONFIG.electionTicks;
    this.confs = [{ index: disk.base.index, conf: disk.baseConf }];
    this.core = this.start(false);
  }

  private start(mayHavePromised: boolean): RaftCore {
    const { hardState, base, baseConf, entries } = this.disk;
    const config = { ...DEFAULT_CONFIG, ...this.options };
    // Half a step more, so that rounding never takes a tick away.
    const random = () => (this.timeout - config.electionTicks + 0.5) / config.electionTicks;
    return new RaftCore(
      { ...config, id: this.id, random },
      {
        hardState,
        base,
        entries,
        applied: base.index,
        stateIndex: base.index,
        conf: baseConf,
        mayHavePromised,
      },
    );
  }

  /** Loses what is not written, including the state machine. */
  crash(): void {
    this.up = false;
    this.writes = [];
    this.applies = [];
  }

  restart(): void {
    this.confs = [{ index: this.disk.base.index, conf: this.disk.baseConf }];
    this.core = this.start(true);
    this.up = true;
  }

  /** Takes the next work. @returns the messages to send, and the output lines */
  ready(nowMs: number): { messages: Message[]; lines: string[] } | undefined {
    const ready = this.core.ready(nowMs);
    if (ready === undefined) return undefined;
    const messages = ready.messages.map((message) => this.withState(message));
    if (ready.append !== undefined) this.writes.push(ready.append);
    if (ready.apply !== undefined) this.applies.push(ready.apply.entries);
    return { messages, lines: this.tellReady(ready) };
  }

  private withState(message: Message): Message {
    if (message.type !== MessageType.Snapshot) return message;
    const { type, from, to, term } = message;
    return { type, from, to, term, snapshot: this.snapshot() };
  }

  /** Of the current applied state. */
  snapshot(): SnapshotMeta {
    const index = this.core.appliedIndex;
    return {
      index,
      term: this.core.termAt(index)!,
      conf: this.core.conf,
      members: [],
      removed: [],
    };
  }

  private tellReady(ready: Ready): string[] {
    const { softState, append, apply } = ready;
    const lines: string[] = [];
    if (softState !== undefined) {
      const { role, term, leader } = softState;
      lines.push(`${this.id} is ${role} in term ${term}, leader ${leader === 0 ? '-' : leader}`);
    }
    for (const message of ready.messages)
      lines.push(`${this.id} sends ${describeMessage(message)}`);
    if (append !== undefined) {
      lines.push(`${this.id} begins to write ${tellWrite(append)}`);
      for (const response of append.responses) lines.push(`  then ${describeMessage(response)}`);
    }
    if (apply !== undefined) lines.push(`${this.id} begins to apply ${tellEntries(apply.entries)}`);
    for (const { context, index } of ready.readStates) {
      lines.push(`${this.id} may serve read ${context} at ${index}`);
    }
    return lines;
  }

  /** Completes the oldest write. */
  append(): string[] {
    const work = this.writes.shift();
    if (work === undefined) return [];
    this.write(work);
    this.core.appended(work);
    return [`${this.id} has written ${tellWrite(work)}`];
  }

  private write({ hardState, entries, snapshot }: AppendWork): void {
    const { disk } = this;
    if (hardState !== undefined) disk.hardState = hardState;
    if (snapshot !== undefined) {
      disk.base = { index: snapshot.index, term: snapshot.term };
      disk.baseConf = snapshot.conf;
      disk.entries = [];
    }
    const first = entries[0];
    if (first === undefined) return;
    disk.entries = disk.entries.filter(({ index }) => index < first.index).concat(entries);
  }

  /** Completes the oldest batch of entries to apply. */
  apply(): string[] {
    const entries = this.applies.shift();
    if (entries === undefined) return [];
    const lines = [`${this.id} has applied ${tellEntries(entries)}`];
    for (const entry of entries) {
      this.applied.set(entry.index, entry);
      if (entry.kind === EntryKind.ConfChange) {
        lines.push(this.change(decodeConfChange(entry.data), entry.index));
      }
    }
    this.core.applied(entries.at(-1)!.index);
    return lines;
  }

  private change(change: ConfChange, index: Index): string {
    try {
      const conf = this.core.applyConfChange(change);
      this.confs.push({ index, conf });
      return `${this.id} counts with ${describeConf(conf)}`;
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error;
      return `${this.id} leaves the configuration as it is: ${error.message}`;
    }
  }

  step(message: Message): void {
    this.core.step(message);
    const snapshot = message.type === MessageType.Snapshot ? message.snapshot : undefined;
    if (snapshot === undefined || this.core.appliedIndex < snapshot.index) return;
    this.confs.push({ index: snapshot.index, conf: this.core.conf });
    this.applies = this.applies.filter((entries) => entries[0]!.index > snapshot.index);
  }

  compact(index: Index): void {
    const term = this.core.termAt(index);
    this.core.compact(index);
    const { disk } = this;
    if (term === undefined || index <= disk.base.index) return;
    disk.base = { index, term };
    disk.baseConf = this.confs.findLast((at) => at.index <= index)!.conf;
    disk.entries = disk.entries.filter((entry) => entry.index > index);
  }
}

export function tellEntries(entries: readonly Entry[]): string {
  const words = entries.map((entry) => {
    const plain = entry.kind === EntryKind.Normal && entry.data.length > 0;
    if (!plain) return describeEntry(entry);
    const data = text.decode(entry.data);
    return `${describeEntry(entry)}:${data.length > 12 ? `${data.length} bytes` : data}`;
  });
  return `[${words.join(' ')}]`;
}

function tellWrite({ hardState, entries, snapshot }: AppendWork): string {
  const words: string[] = [];
  if (hardState !== undefined) {
    const { term, vote, commit } = hardState;
    words.push(`term ${term} vote ${vote === 0 ? '-' : vote} commit ${commit}`);
  }
  if (snapshot !== undefined) words.push(`snapshot ${snapshot.term}/${snapshot.index}`);
  if (entries.length > 0) words.push(tellEntries(entries));
  return words.length === 0 ? 'nothing' : words.join(' ');
}
