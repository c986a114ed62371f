/**
 * Breaks a text into lines at its blanks; a longer word is broken where the line ends.
 * @param width of a line in characters
 * @param most lines; the last one ends in `…` if there is more
 */
export function wrapLines(text: string, width: number, most: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest !== '') {
    const characters = [...rest];
    if (characters.length <= width) {
      lines.push(rest);
      break;
    }
    if (lines.length === most - 1) {
      lines.push(
        `${characters
          .slice(0, Math.max(0, width - 1))
          .join('')
          .trimEnd()}…`,
      );
      break;
    }
    const first = characters.slice(0, width + 1).join('');
    const blank = first.lastIndexOf(' ');
    const line = blank > 0 ? first.slice(0, blank) : characters.slice(0, width).join('');
    lines.push(line);
    rest = rest.slice(line.length).trimStart();
  }
  return lines;
}
