import { showControls } from '@swarm/api/client';
import { wrapLines } from './wrap.js';

/** Spaces between columns, and the least width of a column including them: as in Docker's tables. */
const GAP = 3;
const COLUMN_MIN_WIDTH = 10;

/** A column whose cells are broken into lines, so that the table fits a window of this width. */
export interface Fit {
  readonly column: number;
  readonly columns: number;
}

/** In less space, lines say too little: then the cell stays in one piece, and the window wraps it. */
const WRAP_MIN_WIDTH = 24;
/** Most lines of one cell. */
const WRAP_LINES = 6;

/**
 * Formats rows under a heading, with columns as wide as their widest cell. Spells out control characters, so
 * that no cell can make a row.
 */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  fit?: Fit,
): string {
  const shown = [heading, ...rows.map((row) => row.map((cell) => showControls(cell)))];
  const all = fit === undefined ? shown : fitted(shown, fit);
  const widths = widthsOf(all);
  return all
    .map((row) =>
      row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell + ' '.repeat(widths[column]! - width(cell)),
        )
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  return rows[0]!.map((_, column) =>
    Math.max(COLUMN_MIN_WIDTH, ...rows.map((row) => width(row[column] ?? '') + GAP)),
  );
}

/** Breaks the cells of one column where the table is wider than the window: a row becomes several. */
function fitted(
  rows: readonly (readonly string[])[],
  { column, columns }: Fit,
): readonly (readonly string[])[] {
  const widths = widthsOf(rows);
  const last = widths.length - 1;
  // The last column needs neither gap nor padding.
  const others = widths.reduce((sum, each, at) => {
    if (at === column) return sum;
    return sum + (at === last ? Math.max(...rows.map((row) => width(row[at] ?? ''))) : each);
  }, 0);
  const left = columns - others - (column === last ? 0 : GAP);
  if (left < WRAP_MIN_WIDTH) return rows;
  return rows.flatMap((row) => {
    const [first = '', ...more] = wrapLines(row[column] ?? '', left, WRAP_LINES);
    return [
      row.map((cell, at) => (at === column ? first : cell)),
      ...more.map((line) => row.map((_, at) => (at === column ? line : ''))),
    ];
  });
}

function width(text: string): number {
  return [...text].length;
}
