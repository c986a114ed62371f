import { showControls } from '@swarm/api/client';
import { UsageError } from '../command.js';
import type { Template } from '../template/index.js';
import type { StructType } from '../template/types.js';
import type { Output } from './output.js';
import { jsonText } from './shown.js';
import { alignTabs } from './tab-stops.js';
import { table } from './table.js';

/** One row of a list: its fields, by the names that templates use. */
export type Row = Readonly<Record<string, unknown>>;

/** What a command lists. */
export interface List {
  /** The command, as errors name it: `node ls`. */
  readonly name: string;
  /** Fields of every row, in the order of the default table, with the headings of their columns. */
  readonly fields: Readonly<Record<string, string>>;
  /** Fields that the default table leaves out. */
  readonly hidden?: readonly string[];
  /** What `--format raw` means, and what it means with `--quiet`. */
  readonly raw: { readonly all: string; readonly quiet: string };
}

/** How the default table, and JSON, differ from one list to the next. */
export interface ListOptions {
  /** Default: all fields of the list that are not hidden. */
  readonly columns?: readonly string[];
  /** What its cells show instead of the fields of the row. */
  readonly cells?: (row: Row) => Row;
  /** What `json` prints instead of the rows. */
  readonly json?: readonly object[];
  /** Column whose cells are broken into lines where the table is wider than the terminal. */
  readonly wrapped?: string;
}

/** Prints rows in the form that the user asked for. */
export interface RowPrinter {
  /** Whether `--quiet` means a list of ids: it does not beside a template of the user's. */
  readonly isQuiet: boolean;
  /** Whether people read it: the user asked for no other form. */
  readonly isDefaultTable: boolean;
  print(output: Output, rows: readonly Row[], options?: ListOptions): void;
}

/** Prints one object in the form that the user asked for. */
export interface ObjectPrinter {
  print(output: Output, object: object): void;
}

/**
 * Reads the `--format` of a list: none or `table` for the default table, `table TEMPLATE` whose tabs separate the
 * columns, `json` for one object per line, `raw`, or a template for each row. Call it before any request.
 *
 * Tables show control characters, and so does a template on a terminal; in a pipe, a template's lines have them
 * as they are.
 * @throws {UsageError} for what is not a template, with the place
 */
export async function parseListFormat(
  format: string | undefined,
  list: List,
  quiet = false,
): Promise<RowPrinter> {
  if (format === undefined || format === '' || format === 'table')
    return {
      isQuiet: quiet,
      isDefaultTable: true,
      print: (output, rows, options) => printTable(output, rows, list, options),
    };
  if (format === 'json')
    return {
      isQuiet: false,
      isDefaultTable: false,
      print(output, rows, { json = rows.map(sorted) } = {}) {
        for (const each of json) output.line(jsonText(each));
      },
    };
  const isTable = format.startsWith('table');
  const source = format === 'raw' ? (quiet ? list.raw.quiet : list.raw.all) : format;
  const { struct, ANY } = await import('../template/types.js');
  const type = struct(
    `a row of '${list.name}'`,
    Object.fromEntries(Object.keys(list.fields).map((name) => [name, ANY])),
  );
  const start = /^table */.exec(source)?.[0].length ?? 0;
  const template = await parsed(source, start);
  template.check(type);
  return {
    isQuiet: false,
    isDefaultTable: false,
    print(output, rows) {
      const show = isTable ? spellOut : shownOn(output);
      const lines = rows.map((row) => template.execute({ type, data: row }, show));
      if (!isTable) for (const line of lines) output.line(line);
      else
        output.line(
          alignTabs([template.heading({ type, data: list.fields }), ...lines].join('\n')),
        );
    },
  };
}

/**
 * Reads the `--format` of one object: `json`, or a template. Call it before any request.
 * @param type loads the type of the object, which only a template needs
 * @throws {UsageError} for what is not a template, with the place
 */
export async function parseObjectFormat(
  format: string,
  type: () => Promise<StructType>,
): Promise<ObjectPrinter> {
  if (format === 'json') return { print: (output, object) => output.line(jsonText(object)) };
  const template = await parsed(format);
  const loaded = await type();
  return {
    print: (output, object) =>
      output.line(template.execute({ type: loaded, data: object }, shownOn(output))),
  };
}

function printTable(
  output: Output,
  rows: readonly Row[],
  { fields, hidden = [] }: List,
  { columns, cells = (row) => row, wrapped = '' }: ListOptions = {},
): void {
  const names = columns ?? Object.keys(fields).filter((name) => !hidden.includes(name));
  const text = rows.map(cells).map((row) => names.map((name) => String(row[name])));
  const column = names.indexOf(wrapped);
  const { window } = output;
  const fit = window === undefined || column === -1 ? undefined : { column, columns: window };
  output.line(
    table(
      names.map((name) => fields[name]!),
      text,
      fit,
    ),
  );
}

/**
 * A template of the user's, whose faults are errors of the command line. The interpreter is loaded here only: most
 * commands run without a template.
 */
async function parsed(source: string, start = 0): Promise<Template> {
  const { parseTemplate, TemplateError } = await import('../template/index.js');
  const explained = <T>(what: string, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      if (error instanceof TemplateError) throw new UsageError(`${what}: ${error.message}`);
      throw error;
    }
  };
  const template = explained('invalid --format', () =>
    parseTemplate(source, { escapes: true, start }),
  );
  return {
    check: (type) => explained('invalid --format', () => template.check(type)),
    execute: (data, show) => explained('cannot apply --format', () => template.execute(data, show)),
    heading: (headings) => template.heading(headings),
  };
}

function shownOn(output: Output): (text: string) => string {
  return output.isTerminal ? spellOut : (text) => text;
}

function spellOut(text: string): string {
  return showControls(text);
}

function sorted(row: Row): Row {
  return Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
}
