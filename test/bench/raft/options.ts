/** How long the bench runs; more of everything gives steadier figures. */
export interface RaftBenchOptions {
  /** Parts to run: loads, reads, takeover, soak. */
  readonly parts: readonly string[];
  /** Alternations of the two systems at each number of clients. */
  readonly rounds: number;
  readonly seconds: number;
  /** Number of leaders to kill, and of transfers. */
  readonly takeovers: number;
  /** Entries written while one member is down. */
  readonly entries: number;
}

export const DEFAULT_RAFT_OPTIONS: RaftBenchOptions = {
  parts: ['loads', 'reads', 'takeover', 'soak'],
  rounds: 3,
  seconds: 4,
  takeovers: 20,
  entries: 300_000,
};

export type Say = (text: string) => void;
