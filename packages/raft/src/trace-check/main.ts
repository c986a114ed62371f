import { readFile } from 'node:fs/promises';
import type { TraceEvent } from '../trace.js';
import { mergeTraces } from './merge.js';
import { TraceChecker } from './trace-checker.js';
import { TraceViolation } from './violation.js';

const USAGE = `Usage: scripts/check-trace FILE...
Checks traces of a Raft group, one JSON object a line, against Raft as a specification.

A single file holds the events of all members, in the order in which they happened. With several files,
each holds the events of one member; the checker finds an order in which they can have happened.
Exit code 1: a rule is broken.
`;

/** Reads the events of one file. @throws SyntaxError with file and line */
async function readTrace(path: string): Promise<TraceEvent[]> {
  const lines = (await readFile(path, 'utf8')).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, i) => {
    try {
      return JSON.parse(line) as TraceEvent;
    } catch (error) {
      throw new SyntaxError(`${path}, line ${i + 1}: ${(error as Error).message}`);
    }
  });
}

const paths = process.argv.slice(2);
if (paths.length === 0 || paths.includes('--help')) {
  process.stdout.write(USAGE);
  process.exitCode = paths.length === 0 ? 2 : 0;
} else {
  const checker = new TraceChecker();
  try {
    const traces = await Promise.all(paths.map(readTrace));
    for (const event of traces.length === 1 ? traces[0]! : mergeTraces(traces)) {
      checker.check(event);
    }
    console.log(`${checker.count} events, all allowed by the rules`);
  } catch (error) {
    console.error((error as Error).message);
    if (error instanceof TraceViolation) console.error(JSON.stringify(error.event));
    process.exitCode = 1;
  }
}
