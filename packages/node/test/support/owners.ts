import { lchownSync } from 'node:fs';
import anyTest, { type TestFn } from 'ava';

/** User that tests run as. */
export const OURS = process.getuid!();

const OTHER = 54_321;

/** Only root can make what belongs to another user; others skip loudly. */
export const testAsRoot = (OURS === 0 ? anyTest : anyTest.skip) as TestFn;
if (OURS !== 0) anyTest('SKIPPED, run as root: files of other users', (t) => t.pass());

/** Makes something at the path that belongs to another user, who is neither root nor who runs the test. */
export function givenAway(path: string, make: (path: string) => void): string {
  make(path);
  lchownSync(path, OTHER, OTHER);
  return path;
}
