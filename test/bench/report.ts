/** One figure of a benchmark and its goal. */
export interface Goal {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** `<= 6` or `>= 0.9`. */
  readonly goal: string;
  readonly met: boolean;
}

export interface Report {
  readonly bench: string;
  readonly goals: readonly Goal[];
  /** Further figures, without a goal. */
  readonly figures: readonly Omit<Goal, 'goal' | 'met'>[];
  /** Where time or memory goes, for missed goals; sentences. */
  readonly notes: readonly string[];
}

export function atMost(name: string, value: number, unit: string, limit: number): Goal {
  return { name, value, unit, goal: `<= ${limit}`, met: value <= limit };
}

export function atLeast(name: string, value: number, unit: string, limit: number): Goal {
  return { name, value, unit, goal: `>= ${limit}`, met: value >= limit };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function printReport(report: Report, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(report));
    return;
  }
  const rows = [
    ...report.goals.map((goal) => [
      goal.name,
      format(goal.value),
      goal.unit,
      goal.goal,
      goal.met ? 'met' : 'MISSED',
    ]),
    ...report.figures.map((figure) => [figure.name, format(figure.value), figure.unit, '', '']),
  ];
  const heading = ['WHAT', 'VALUE', 'UNIT', 'GOAL', ''];
  const widths = heading.map((_, column) =>
    Math.max(...[heading, ...rows].map((row) => row[column]!.length)),
  );
  for (const row of [heading, ...rows])
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    );
  for (const note of report.notes) console.log(`note: ${note}`);
}

function format(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
