import { readFileSync } from 'node:fs';

/**
 * How many files this process may have open; Infinity without a bound, or where the system does not say.
 * Node has raised its own limit to the highest it may have (the hard one) when it started.
 */
export function descriptorLimit(read: (path: string) => string = readText): number {
  let text: string;
  try {
    text = read('/proc/self/limits');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Number.POSITIVE_INFINITY;
    throw error;
  }
  const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
