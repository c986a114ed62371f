import type { Logger } from '@swarm/api';
import { pino } from 'pino';
import type { DaemonOptions } from './options.js';

/** The daemon's log on standard error: JSON lines, or lines for people. */
export function createLogger(options: Pick<DaemonOptions, 'logLevel' | 'logFormat'>): Logger {
  const settings = {
    level: options.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (options.logFormat === 'json') return pino(settings, pino.destination({ fd: 2, sync: true }));
  return pino(settings, { write: (line: string) => process.stderr.write(pretty(line)) });
}

function pretty(line: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const details = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const error = err === undefined ? '' : `\n    ${describe(err)}`;
  return `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}${details.join('')}${error}\n`;
}

function describe(error: unknown): string {
  const { stack, message } = error as { stack?: string; message?: string };
  return String(stack ?? message ?? JSON.stringify(error)).replaceAll('\n', '\n    ');
}
