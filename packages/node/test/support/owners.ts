import { lchownSync } from 'node:fs';
import anyTest, { type TestFn } from 'ava';

/** The user that runs the tests. */
export const OURS = process.getuid!();

const OTHER = 54_321;

/** Only root can create files of another user; other users skip the test loudly. */
export const testAsRoot = (OURS === 0 ? anyTest : anyTest.skip) as TestFn;
if (OURS !== 0) anyTest('SKIPPED, run as root: files of other users', (t) => t.pass());

/** Makes an entry at the path that belongs to another user, neither root nor the one that runs the test. */
export function givenAway(path: string, make: (path: string) => void): string {
  make(path);
  lchownSync(path, OTHER, OTHER);
  return path;
}
