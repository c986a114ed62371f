import { DaemonError } from '../client/api-client.js';
import { explain } from '../explain.js';
import type { CommandContext, Flags } from '../command.js';
import { printObject } from './format.js';
import { jsonText, shown } from './shown.js';

/** Flags of every `inspect`. */
export const INSPECT_FLAGS: Flags = {
  format: { type: 'string', short: 'f', about: 'json, or a template with {{.Field}}' },
  pretty: { type: 'boolean', about: 'print in a human-readable form' },
};

/**
 * `inspect` of any kind: prints what it finds, then names what it does not.
 * @param read one object by name
 * @param pretty formats an object for people
 * @returns 1 if something is not found
 */
export async function inspectAll<T extends object>(
  { args, output }: CommandContext,
  read: (name: string) => Promise<T>,
  pretty: (object: T) => string,
): Promise<number> {
  const found: T[] = [];
  const missing: DaemonError[] = [];
  for (const name of args.positionals) {
    try {
      found.push(await read(name));
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      missing.push(error);
    }
  }
  const format = args.string('format');
  if (args.boolean('pretty')) for (const each of found) output.line(pretty(shown(each)));
  else if (format === 'json') output.line(jsonText(found));
  else if (format !== undefined) for (const each of found) printObject(output, format, each);
  else output.line(jsonText(found, 4));
  for (const error of missing) output.error(explain(error));
  return missing.length > 0 ? 1 : 0;
}
