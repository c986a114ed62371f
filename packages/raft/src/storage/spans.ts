import { assert } from '../core/assert.js';
import type { Index } from '../core/types.js';

/** The part of a record that still belongs to the log: entries `first` to `last`. */
interface Span {
  readonly sequence: number;
  readonly first: Index;
  last: Index;
}

/**
 * The records that hold the log. Invariant: spans are in order of sequence, never empty, contiguous
 * by index, and cover exactly `(start, lastIndex]`.
 */
export class Spans {
  private spans: Span[] = [];
  private start: Index = 0;

  /** The log is valid after this index. */
  get startIndex(): Index {
    return this.start;
  }

  get lastIndex(): Index {
    return this.spans.at(-1)?.last ?? this.start;
  }

  /** Replaces the whole log: it starts after `index`. */
  reset(index: Index): void {
    this.spans = [];
    this.start = index;
  }

  /** Reports whether entries from `first` on leave no hole. */
  joins(first: Index): boolean {
    return first > 0 && first <= this.lastIndex + 1;
  }

  /** Replaces everything from `first` on with entries `first` to `last` of a record. */
  append(sequence: number, first: Index, last: Index): void {
    assert(this.joins(first), 'entries leave a hole in the log', first, this.lastIndex);
    assert(last >= first, 'entries out of order', first, last);
    while (this.spans.length > 0 && this.spans.at(-1)!.first >= first) this.spans.pop();
    const previous = this.spans.at(-1);
    if (previous !== undefined) {
      previous.last = Math.min(previous.last, first - 1);
      if (previous.last <= this.start) this.spans.pop();
    }
    // Compacted entries stay compacted; a record may begin below them.
    if (last <= this.start) return;
    this.spans.push({ sequence, first: Math.max(first, this.start + 1), last });
  }

  /** Drops entries up to `index`. */
  compact(index: Index): void {
    assert(index >= this.start, 'compaction goes back', index, this.start);
    assert(index <= this.lastIndex, 'compaction beyond the log', index, this.lastIndex);
    this.start = index;
    const kept = this.spans.findIndex((span) => span.last > index);
    this.spans = kept < 0 ? [] : this.spans.slice(kept);
  }

  /** Returns the first record that holds an entry after `index`; undefined when none does. */
  firstNeeded(index: Index): number | undefined {
    return this.spans.find((span) => span.last > index)?.sequence;
  }
}
