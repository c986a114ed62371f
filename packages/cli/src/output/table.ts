import { showControls } from '@swarm/api/client';

/** Spaces between columns, and the least width of a column with them: as Docker's tables have. */
const GAP = 3;
const COLUMN_MIN_WIDTH = 10;

/**
 * Rows under a heading, columns as wide as their widest cell. Control characters in a cell are spelt out:
 * no cell makes a row.
 */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows.map((row) => row.map((cell) => showControls(cell)))];
  const widths = heading.map((_, column) =>
    Math.max(COLUMN_MIN_WIDTH, ...all.map((row) => width(row[column] ?? '') + GAP)),
  );
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

function width(text: string): number {
  return [...text].length;
}
