import { runBatch } from './batch.js';
import type { BatchAnswer, BatchOrder } from './runner.js';
import { loadSimulator } from './simulator.js';

/**
 * The program of a child process: runs the batches that its parent sends, with the simulator it
 * names.
 */
const simulator = loadSimulator(process.argv[2]!);

async function answerTo({ options, batch }: BatchOrder): Promise<BatchAnswer> {
  try {
    return { report: await runBatch(await simulator, options, batch) };
  } catch (error) {
    return { error: (error as Error).stack ?? String(error) };
  }
}

process.on('message', (order) => {
  void answerTo(order as BatchOrder).then((answer) => process.send?.(answer));
});
// A terminal sends it to all processes at once; the parent decides.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
