import { assert } from '../core/assert.js';
import {
  allMembers,
  type ConfChange,
  ConfChangeError,
  ConfChangeOp,
  decodeConfChange,
} from '../core/conf-change.js';
import type {
  ConfState,
  Entry,
  Index,
  MemberId,
  MemberInfo,
  SnapshotMeta,
  Term,
} from '../core/types.js';

/** The membership from one entry of the log until the next change. */
export interface MembershipState {
  readonly index: Index;
  readonly conf: ConfState;
  /** Ascending by id; every member in `conf`. */
  readonly members: readonly MemberInfo[];
  /** Ascending. */
  readonly removed: readonly MemberId[];
}

/**
 * The members and their addresses at each index since the log's first. A snapshot must carry the
 * membership of its own index, not the current one.
 */
export class Membership {
  /** Ascending by index, never empty. */
  private history: MembershipState[];

  constructor(meta: SnapshotMeta) {
    this.history = [fromSnapshot(meta)];
  }

  get current(): MembershipState {
    return this.history.at(-1)!;
  }

  /** Undefined for ids that are not, or no longer, in the configuration. */
  info(id: MemberId): MemberInfo | undefined {
    return this.current.members.find((member) => member.id === id);
  }

  /**
   * Applies an entry of kind ConfChange. A change that is not allowed has no effect, on every
   * member alike.
   * @param applyConf puts the change into effect and returns the new configuration
   * @returns why the change has no effect, or undefined if it has one
   * @throws UnknownConfChangeError when only a newer version knows the change
   */
  apply(entry: Entry, applyConf: (change: ConfChange) => ConfState): ConfChangeError | undefined {
    const { current } = this;
    assert(entry.index > current.index, 'membership goes back', entry.index, current.index);
    let change: ConfChange;
    let conf: ConfState;
    try {
      change = decodeConfChange(entry.data);
      for (const { op, id } of change.changes) {
        if (op !== ConfChangeOp.Remove && current.removed.includes(id)) {
          throw new ConfChangeError(`member ${id} was removed for good`);
        }
      }
      conf = applyConf(change);
    } catch (error) {
      if (error instanceof ConfChangeError) return error;
      throw error;
    }
    this.history.push(next(current, entry.index, conf, change));
    return undefined;
  }

  /** Replaces everything with a snapshot's membership. */
  restore(meta: SnapshotMeta): void {
    this.history = [fromSnapshot(meta)];
  }

  /** Describes a snapshot at an index not before the log's first. */
  metaAt(index: Index, term: Term): SnapshotMeta {
    const state = this.history.findLast((past) => past.index <= index);
    assert(state !== undefined, 'membership of a compacted index', index);
    const { conf, members, removed } = state;
    return { index, term, conf, members, removed };
  }

  /** Drops what no snapshot at `index` or later needs. */
  trim(index: Index): void {
    const from = this.history.findLastIndex((past) => past.index <= index);
    if (from > 0) this.history = this.history.slice(from);
  }
}

function fromSnapshot(meta: SnapshotMeta): MembershipState {
  const { index, conf, members, removed } = meta;
  return { index, conf, members, removed };
}

function next(
  current: MembershipState,
  index: Index,
  conf: ConfState,
  change: ConfChange,
): MembershipState {
  const infos = new Map(current.members.map((member) => [member.id, member]));
  for (const { id, info } of change.changes) if (info !== undefined) infos.set(id, info);
  const ids = allMembers(conf);
  const members = ids.map((id) => infos.get(id) ?? { id, address: '', nodeId: '' });
  const left = current.members.filter(({ id }) => !ids.includes(id)).map(({ id }) => id);
  const removed = [...current.removed, ...left].sort((a, b) => a - b);
  return { index, conf, members, removed };
}
