import { showControls } from '@swarm/api/client';
import { UsageError } from '../command.js';
import type { Output } from './output.js';
import { jsonText } from './shown.js';
import { table } from './table.js';

/** One row of a list: its fields, by the names that templates use. */
export type Row = Readonly<Record<string, unknown>>;

const FIELD = /\{\{\s*(json\s+)?(\.[\w.]*)\s*\}\}|\{\{(.*?)\}\}/g;

/**
 * Formats an object with `{{.Field}}`, `{{.Field.Sub}}` and `{{json .Field}}`, or `json` for all of it.
 * Refuses everything else that Go's templates can do.
 * @param show formats the value of a field
 */
export function formatObject(
  format: string,
  object: object,
  show: (value: string) => string = (value) => value,
): string {
  if (format === 'json') return jsonText(object);
  return withEscapes(format).replace(FIELD, (_, json, path: string | undefined, other) => {
    if (path === undefined) throw unsupported(other);
    const value = lookup(object, path);
    if (json !== undefined || (typeof value === 'object' && value !== null))
      return jsonText(value ?? null);
    return show(String(value ?? ''));
  });
}

/**
 * Prints a list by `--format`: `json` (one object per line), a template for each row, or `table TEMPLATE`,
 * whose fields, separated by tabs, are the columns. Without a format, prints a table of the given columns.
 * Shows a field's control characters in tables and on a terminal; a template's lines in a pipe have them as
 * they are.
 * @param headings of fields whose column is not named after the field in capitals
 * @param wrapped column whose cells are broken into lines where the table is wider than the terminal
 */
export function printRows(
  output: Output,
  rows: readonly Row[],
  format: string | undefined,
  columns: readonly string[],
  headings: Readonly<Record<string, string>>,
  wrapped?: string,
): void {
  const heading = (field: string) => headings[field] ?? field.toUpperCase();
  if (format === undefined || format === '' || format === 'table') {
    const cells = rows.map((row) => columns.map((column) => String(row[column])));
    const column = wrapped === undefined ? -1 : columns.indexOf(wrapped);
    const { window } = output;
    const fit = window === undefined || column === -1 ? undefined : { column, columns: window };
    output.line(table(columns.map(heading), cells, fit));
    return;
  }
  if (format === 'json') {
    for (const row of rows) output.line(jsonText(sorted(row)));
    return;
  }
  if (!format.startsWith('table ')) {
    for (const row of rows) printObject(output, format, row);
    return;
  }
  const cells = withEscapes(format.slice('table '.length)).split('\t');
  const names = cells.map((cell) =>
    cell.replace(FIELD, (_, _json, path: string | undefined, other) => {
      if (path === undefined) throw unsupported(other);
      return heading(path.slice(1));
    }),
  );
  output.line(
    table(
      names,
      rows.map((row) => cells.map((cell) => formatObject(cell, row))),
    ),
  );
}

/** Prints one object by a template, or as `json`. */
export function printObject(output: Output, format: string, object: object): void {
  const show = output.isTerminal ? (value: string) => showControls(value) : undefined;
  output.line(formatObject(format, object, show));
}

/**
 * `\t` and `
 * ` as people type them on a command line.
 */
function withEscapes(format: string): string {
  return format.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
}

function sorted(row: Row): Row {
  return Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function unsupported(expression: string): UsageError {
  return new UsageError(
    `template '{{${expression}}}' is not supported: use {{.Field}}, {{.Field.Sub}} or {{json .Field}}`,
  );
}

function lookup(object: object, path: string): unknown {
  let value: unknown = object;
  for (const part of path.split('.').filter((each) => each !== '')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) {
      throw new UsageError(`template: no field '${part}' in '${path}'`);
    }
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}
