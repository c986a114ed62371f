import type { RaftNode } from '@swarm/raft';

export interface ReadOrder {
  readonly clients: number;
  /** Not counted: code gets compiled. */
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface ReadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly reads: number;
  readonly failed: number;
}

/** A number of callers in the member's own process, each with one read in flight. */
export async function readLoad(node: RaftNode, order: ReadOrder): Promise<ReadResult> {
  const { clients, warmUpMs, durationMs } = order;
  const beginMs = performance.now() + warmUpMs;
  const endMs = beginMs + durationMs;
  const latenciesMs: number[] = [];
  let failed = 0;
  const client = async (): Promise<void> => {
    for (;;) {
      const askedMs = performance.now();
      if (askedMs >= endMs) return;
      const ok = await node.readIndex().then(
        () => true,
        () => false,
      );
      const answeredMs = performance.now();
      if (askedMs < beginMs || answeredMs > endMs) continue;
      if (ok) latenciesMs.push(answeredMs - askedMs);
      else failed++;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const sorted = Float64Array.from(latenciesMs).sort();
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return {
    perSecond: sorted.length / (durationMs / 1000),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    reads: sorted.length,
    failed,
  };
}
