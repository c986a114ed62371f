import { showControls } from '@swarm/api/client';

/** Spaces between columns, and the least width of a column including them: as in Docker's tables. */
const GAP = 3;
const COLUMN_MIN_WIDTH = 10;

/**
 * Formats rows under a heading, with columns as wide as their widest cell. Spells out control characters, so
 * that no cell can make a row.
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
