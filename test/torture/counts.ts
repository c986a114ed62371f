import { type Operation, OpKind, Outcome } from '@swarm/sim';

const KIND_NAMES = { [OpKind.Read]: 'reads', [OpKind.Write]: 'writes', [OpKind.Cas]: 'cas' };

/** What happened, in numbers. */
export class OperationCounts {
  readonly operations = { done: 0, refused: 0, unknown: 0, reads: 0, writes: 0, cas: 0 };
  /** By kind. */
  readonly faults: Record<string, number> = {};
  /** By what happened to the damaged member. */
  readonly damages: Record<string, number> = {};
  snapshotsInstalled = 0;
  membersReplaced = 0;
  acceptedWrites = 0;
  /** Undefined before the first and after the last. */
  private lastAcceptedMs: number | undefined;
  private longestPauseMs = 0;

  operation({ outcome, kind }: Operation): void {
    this.operations[outcome]++;
    if (outcome !== Outcome.Done) return;
    this.operations[KIND_NAMES[kind] as 'reads' | 'writes' | 'cas']++;
    if (kind === OpKind.Read) return;
    this.longestPauseMs = this.longestWithoutWriteMs;
    this.lastAcceptedMs = performance.now();
    this.acceptedWrites++;
  }

  /** The longest time without an accepted write, including the current one. */
  get longestWithoutWriteMs(): number {
    const nowMs = performance.now();
    return Math.max(this.longestPauseMs, nowMs - (this.lastAcceptedMs ?? nowMs));
  }

  /** Notes that clients have stopped. */
  endOfWrites(): void {
    this.longestPauseMs = this.longestWithoutWriteMs;
    this.lastAcceptedMs = undefined;
  }

  fault(kind: string): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
  }

  damage(outcome: string): void {
    this.damages[outcome] = (this.damages[outcome] ?? 0) + 1;
  }
}
