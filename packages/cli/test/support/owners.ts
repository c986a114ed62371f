import { lchownSync } from 'node:fs';

/** User that tests run as. */
export const OURS = process.getuid!();

const OTHER = 54_321;

/**
 * Makes something that belongs to another user than `uid`. Root gives it to another user; anybody else
 * can only make what is their own, and looks at it as another user.
 */
export function givenAway(
  path: string,
  make: (path: string) => void,
): { path: string; uid: number } {
  make(path);
  if (OURS !== 0) return { path, uid: OTHER };
  lchownSync(path, OTHER, OTHER);
  return { path, uid: 0 };
}
