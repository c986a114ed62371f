import type { IncomingMessage } from 'node:http';
import type { EngineEvent } from './own-containers.js';

/** Longest line of an engine's events, characters. */
const LINE_LIMIT = 1024 * 1024;

/**
 * Reads an engine's events line by line, so that other events never land inside one. Ends the stream at a line
 * that is too long. Skips lines that are not JSON.
 * @param line without its end
 * @returns resolves when the stream has ended
 */
export function readEventLines(
  source: IncomingMessage,
  take: (event: EngineEvent, line: string) => void,
): Promise<void> {
  let rest = '';
  source.setEncoding('utf8');
  source.on('error', () => {});
  source.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = eventIn(line);
      if (event !== undefined) take(event, line);
    }
    if (rest.length > LINE_LIMIT) source.destroy();
  });
  return new Promise((resolve) => {
    source.once('close', resolve);
  });
}

function eventIn(line: string): EngineEvent | undefined {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === 'object' && event !== null ? (event as EngineEvent) : undefined;
  } catch {
    return undefined;
  }
}
