import { execute, type Operation, OpKind, Outcome } from '@swarm/sim';
import type { AppliedLine, StateImage } from './member-protocol.js';
import type { TortureProblems } from './problems.js';

interface Applied {
  readonly operation: number;
  readonly chain: string;
  /** The member that reported it first. */
  readonly by: string;
}

/** A key's values, each from an index on; ascending. */
interface Versions {
  readonly indexes: number[];
  readonly values: number[];
}

/**
 * The one log, as members report it while they apply it. A member reports before it answers, so
 * acknowledged entries are in here. Repeated reports, by others or after a crash, must be the same
 * (paper §5.4.3, state machine safety), and every answer must be what the log gives.
 */
export class Ledger {
  private readonly applied = new Map<number, Applied>();
  private readonly versions = new Map<number, Versions>();
  private readonly values = new Map<number, number>();
  /** What the write at an index found, until it is acknowledged. */
  private readonly results = new Map<number, { before: number; done: boolean }>();
  private readonly carriedOut = new Set<number>();
  /** Between these indexes, exclusive, nobody reported the applied entries. */
  private readonly gaps: (readonly [after: number, before: number])[] = [];
  private readonly problems: TortureProblems;
  private readonly operationOf: (id: number) => Operation | undefined;
  private last = 0;

  constructor(problems: TortureProblems, operationOf: (id: number) => Operation | undefined) {
    this.problems = problems;
    this.operationOf = operationOf;
  }

  get lastIndex(): number {
    return this.last;
  }

  /** @param by the member, for people */
  apply(by: string, lines: readonly AppliedLine[]): void {
    for (const [index, , operation, chain] of lines) {
      const known = this.applied.get(index);
      if (known !== undefined) {
        if (known.chain === chain) continue;
        this.problems.add(
          `${by} applied another log up to ${index} than ${known.by}: ` +
            `${chain} with operation ${operation}, not ${known.chain} with ${known.operation}`,
        );
        return;
      }
      if (index < this.last) {
        this.applied.set(index, { operation, chain, by });
        continue;
      }
      if (index !== this.last + 1) {
        this.problems.add(`${by} applied ${index}; nobody reported ${this.last + 1} before`);
        return;
      }
      this.applied.set(index, { operation, chain, by });
      this.last = index;
      if (operation !== 0) this.carryOut(index, operation);
    }
  }

  /** Notes that a member starts from this state, or installed it as a snapshot. */
  restored(by: string, { index, chain, values }: StateImage): void {
    const state = { index, chain, values };
    if (index > this.last) this.bridge(by, state);
    else this.compare(by, state);
  }

  /** Checks that a whole state is what the log up to its index gives. */
  compare(by: string, { index, chain, values }: StateImage): void {
    const known = this.applied.get(index);
    if (known !== undefined && known.chain !== chain) {
      this.problems.add(`${by} has ${chain} as its log up to ${index}, not ${known.chain}`);
    }
    const has = new Map(values);
    for (const key of new Set([...has.keys(), ...this.versions.keys()])) {
      const value = has.get(key) ?? 0;
      const expected = this.valueAt(key, index);
      if (value === expected || expected === undefined) continue;
      this.problems.add(`${by} has ${value} under key ${key} at ${index}, not ${expected}`);
    }
  }

  /**
   * Checks that an answer agrees with the log. @param floor what others had seen before the
   * question
   */
  answered(operation: Operation, floor: number): void {
    const { id, kind, key, before, succeeded, index } = operation;
    if (index < floor) {
      this.problems.add(
        `operation ${id} saw the log up to ${index}; up to ${floor} had been seen before it was asked`,
      );
    }
    if (kind === OpKind.Read) {
      const value = this.valueAt(key, index);
      if (before === value || value === undefined) return;
      this.problems.add(`read ${id} of key ${key} gave ${before} at ${index}, not ${value}`);
      return;
    }
    const at = this.applied.get(index)?.operation;
    if (at !== id) {
      this.problems.add(`write ${id} was acknowledged at ${index}, where the log has ${at}`);
      return;
    }
    const result = this.results.get(index);
    this.results.delete(index);
    if (result?.before === before && result.done === succeeded) return;
    this.problems.add(`write ${id} at ${index} got an answer that the log does not give`);
  }

  /** Notes that it never happened, according to its client's answer. */
  refused({ id }: Operation): void {
    if (this.carriedOut.has(id)) this.problems.add(`write ${id} was refused and is in the log`);
  }

  private carryOut(index: number, id: number): void {
    const operation = this.operationOf(id);
    if (operation === undefined) {
      this.problems.add(`the log has operation ${id} at ${index}, which nobody asked for`);
      return;
    }
    if (this.carriedOut.has(id)) {
      this.problems.add(`the log has operation ${id} again at ${index}`);
    }
    if (operation.outcome === Outcome.Refused) {
      this.problems.add(`the log has operation ${id} at ${index}, which was refused`);
    }
    this.carriedOut.add(id);
    const result = execute(this.values, operation);
    this.results.set(index, result);
    if (result.done) this.version(operation.key, index, operation.value);
  }

  /**
   * Fills a gap: the member that applied these entries died before it could report them. Nobody can
   * have seen them either, because a member reports before it answers.
   */
  private bridge(by: string, { index, chain, values }: StateImage): void {
    this.gaps.push([this.last, index]);
    this.applied.set(index, { operation: 0, chain, by });
    this.last = index;
    for (const [key, value] of values) {
      if (this.values.get(key) === value) continue;
      this.values.set(key, value);
      this.version(key, index, value);
    }
  }

  private version(key: number, index: number, value: number): void {
    let versions = this.versions.get(key);
    if (versions === undefined) {
      versions = { indexes: [], values: [] };
      this.versions.set(key, versions);
    }
    versions.indexes.push(index);
    versions.values.push(value);
  }

  /** Undefined: unknown. */
  private valueAt(key: number, index: number): number | undefined {
    if (this.gaps.some(([after, before]) => index > after && index < before)) return undefined;
    const versions = this.versions.get(key);
    const at = versions?.indexes.findLastIndex((from) => from <= index) ?? -1;
    return at < 0 ? 0 : versions!.values[at]!;
  }
}
