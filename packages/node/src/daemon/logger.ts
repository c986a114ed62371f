import { escapeJson, type Logger, showControls } from '@swarm/api';
import { pino } from 'pino';
import type { DaemonOptions } from './options.js';

/**
 * The daemon's log on standard error: JSON lines, or lines for people. It holds text of peers and tasks and
 * ends up on terminals, so it writes no control character except the end of a line.
 */
export function createLogger(
  options: Pick<DaemonOptions, 'logLevel' | 'logFormat'>,
  destination: { write(line: string): unknown } = pino.destination({ fd: 2, sync: true }),
): Logger {
  const settings = {
    level: options.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const format = options.logFormat === 'json' ? escapeJson : pretty;
  return pino(settings, { write: (line: string) => destination.write(format(line)) });
}

function pretty(line: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const details = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const head = `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}`;
  const error = err === undefined ? '' : `\n    ${describe(err)}`;
  return `${showControls(head + details.join(''))}${error}\n`;
}

/** Indents every line, so that none of them looks like a line of the log. */
function describe(error: unknown): string {
  const { stack, message } = error as { stack?: string; message?: string };
  const text = String(stack ?? message ?? JSON.stringify(error));
  return showControls(text, '\n').replaceAll('\n', '\n    ');
}
