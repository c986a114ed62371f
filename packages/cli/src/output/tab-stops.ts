/** Spaces between columns, and the least width of a column including them: as in Docker's tables. */
const GAP = 3;
const COLUMN_MIN_WIDTH = 10;

/**
 * Replaces the tabs of a text by spaces, so that cells line up, as Go's text/tabwriter does: a column is a run of
 * lines that all have a tab after that cell. What follows the last tab of a line belongs to no column.
 */
export function alignTabs(text: string): string {
  const lines = text.split('\n').map((line) => line.split('\t'));
  const widths: number[][] = lines.map(() => []);
  const most = Math.max(...lines.map((line) => line.length));
  for (let column = 0; column < most - 1; column += 1) {
    for (let first = 0; first < lines.length; first += 1) {
      let end = first;
      let width = COLUMN_MIN_WIDTH;
      while (end < lines.length && column < lines[end]!.length - 1) {
        width = Math.max(width, length(lines[end]![column]!) + GAP);
        end += 1;
      }
      for (let line = first; line < end; line += 1) widths[line]![column] = width;
      first = Math.max(first, end - 1);
    }
  }
  return lines
    .map((line, at) =>
      line
        .map(
          (cell, column) =>
            cell + ' '.repeat(Math.max(0, (widths[at]![column] ?? 0) - length(cell))),
        )
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

function length(text: string): number {
  return [...text].length;
}
