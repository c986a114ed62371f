import { type ConfState, EntryKind, type Index, type MemberId } from '@swarm/raft';
import {
  allMembers,
  changeConf,
  type ConfChange,
  ConfChangeOp,
  decodeConfChange,
  EMPTY_CONF,
} from '@swarm/raft/internals';
import type { CommittedEntry } from './invariants/subject.js';

interface Past {
  readonly index: Index;
  readonly conf: ConfState;
  readonly removed: ReadonlySet<MemberId>;
}

/** The configuration in force at each index, derived from the committed entries alone. */
export class ConfHistory {
  readonly #committed: readonly CommittedEntry[];
  /** Ascending by index. */
  readonly #past: Past[] = [{ index: 0, conf: EMPTY_CONF, removed: new Set() }];
  #known: Index = 0;

  constructor(committed: readonly CommittedEntry[]) {
    this.#committed = committed;
  }

  /** @param index of a committed entry */
  at(index: Index): ConfState {
    this.#extend();
    return this.#past.findLast((past) => past.index <= index)!.conf;
  }

  #extend(): void {
    for (; this.#known + 1 < this.#committed.length; this.#known++) {
      const { entry } = this.#committed[this.#known + 1]!;
      if (entry.kind !== EntryKind.ConfChange) continue;
      const next = after(this.#past.at(-1)!, entry.index, decodeConfChange(entry.data));
      if (next !== undefined) this.#past.push(next);
    }
  }
}

/** Undefined for a change that is not allowed: it has no effect. */
function after({ conf, removed }: Past, index: Index, change: ConfChange): Past | undefined {
  const back = change.changes.some(({ op, id }) => op !== ConfChangeOp.Remove && removed.has(id));
  if (back) return undefined;
  try {
    const next = changeConf(conf, change);
    const members = allMembers(next);
    const gone = allMembers(conf).filter((id) => !members.includes(id));
    return { index, conf: next, removed: new Set([...removed, ...gone]) };
  } catch {
    return undefined;
  }
}
