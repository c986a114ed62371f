import { createOutput, type Output, type Sink } from '../../src/output/output.js';

/** An output that keeps what it is given. */
export interface Recorder extends Output {
  readonly out: string;
  readonly err: string;
}

/** The output that commands have, on streams that are kept: pipes, or a terminal's. */
export function recorder({ isTTY = false, columns = 80 } = {}): Recorder {
  const chunks: { out: Buffer[]; err: Buffer[] } = { out: [], err: [] };
  const sink = (kept: Buffer[]): Sink => ({
    write: (chunk) => kept.push(Buffer.from(chunk)),
    isTTY,
    columns,
  });
  return {
    ...createOutput(sink(chunks.out), sink(chunks.err)),
    get out() {
      return Buffer.concat(chunks.out).toString();
    },
    get err() {
      return Buffer.concat(chunks.err).toString();
    },
  };
}
