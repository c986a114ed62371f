import type { Readable } from 'node:stream';
import { JSON_LINE_LIMIT_BYTES } from './limits.js';

const NEWLINE = 10;

/**
 * Parses a stream of JSON values, one per line, until the stream ends. Drops a last line that is cut: the
 * engine went away while writing it.
 * @throws Error for a line that is too long or not JSON
 */
export async function* jsonLines<T>(body: Readable): AsyncGenerator<T, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of body as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE, from)) {
      const line = rest.toString('utf8', from, end).trim();
      from = end + 1;
      if (line !== '') yield JSON.parse(line) as T;
    }
    rest = rest.subarray(from);
    if (rest.length > JSON_LINE_LIMIT_BYTES) throw new Error('the engine sent an endless line');
  }
}
