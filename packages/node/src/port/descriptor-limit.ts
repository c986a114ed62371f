import { readFileSync } from 'node:fs';

/**
 * How many files this process may have open; Infinity without a limit, or where the system does not tell.
 * At its start Node.js raises its soft limit to the hard one.
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
