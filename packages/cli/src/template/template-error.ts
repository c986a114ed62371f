/** A position in a template; both count from 1, the column in characters. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A fault of a template, found while it is parsed or executed, and where. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  readonly problem: string;
  /** Absent while a function reports a fault: whoever calls it knows the place. */
  readonly place: Place | undefined;

  constructor(problem: string, place?: Place) {
    super(place === undefined ? problem : `${placeText(place)}: ${problem}`);
    this.problem = problem;
    this.place = place;
  }
}

/** `line 1, column 8`. */
export function placeText({ line, column }: Place): string {
  return `line ${line}, column ${column}`;
}

/** Finds the line and column of an index into a template. */
export function placeOf(source: string, index: number): Place {
  const before = source.slice(0, index);
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  return { line, column: [...before.slice(lineStart)].length + 1 };
}
