import { DaemonError } from '../client/api-client.js';
import { type Arguments, type CommandContext, type Flags, UsageError } from '../command.js';
import { explain } from '../explain.js';
import type { StructType } from '../template/types.js';
import type { Output } from './output.js';
import { parseObjectFormat } from './format.js';
import { jsonText, shown } from './shown.js';

/** Flags of every `inspect`. */
export const INSPECT_FLAGS: Flags = {
  format: { type: 'string', short: 'f', about: 'json, pretty or a Go template' },
  pretty: { type: 'boolean', about: 'print in a human-readable form' },
};

/** A kind of object, and how to show it. */
export interface Inspected<T extends object> {
  /** Reads one object by name. */
  read(name: string): Promise<T>;
  /** Formats an object for people. */
  pretty(object: T): string;
  /** Loads the type that templates see. */
  type(): Promise<StructType>;
}

/**
 * `inspect` of any kind: prints what it finds, then names what it does not.
 * @returns 1 if something is not found, or a template cannot be applied to it
 */
export async function inspectAll<T extends object>(
  { args, output }: CommandContext,
  kind: Inspected<T>,
): Promise<number> {
  const print = await printer(args, kind);
  const found: T[] = [];
  const errors: Error[] = [];
  for (const name of args.positionals) {
    try {
      found.push(await kind.read(name));
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      errors.push(error);
    }
  }
  errors.push(...print(output, found));
  for (const error of errors) output.error(explain(error));
  return errors.length > 0 ? 1 : 0;
}

/** Prints objects; returns why it cannot print some. */
type Print<T> = (output: Output, objects: readonly T[]) => readonly Error[];

async function printer<T extends object>(args: Arguments, kind: Inspected<T>): Promise<Print<T>> {
  const format = args.string('format') ?? '';
  const isPretty = args.boolean('pretty');
  if (isPretty && format !== '' && format !== 'pretty')
    throw new UsageError('--format is incompatible with human friendly format: leave out --pretty');
  if (isPretty || format === 'pretty')
    return each((output, object) => output.line(kind.pretty(shown(object))));
  if (format.startsWith('pretty'))
    throw new UsageError('cannot supply extra formatting options to the pretty template');
  if (format === '' || format === 'json')
    return (output, objects) => {
      output.line(jsonText(objects, format === '' ? 4 : undefined));
      return [];
    };
  const template = await parseObjectFormat(format, kind.type);
  return each((output, object) => template.print(output, object));
}

function each<T>(print: (output: Output, object: T) => void): Print<T> {
  return (output, objects) =>
    objects.flatMap((object) => {
      try {
        print(output, object);
        return [];
      } catch (error) {
        if (error instanceof UsageError) return [error];
        throw error;
      }
    });
}
