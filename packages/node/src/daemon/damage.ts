/** What a Raft member can not get over by itself; starting it again does not help. */
const DAMAGE: readonly unknown[] = [
  'RAFT_STORAGE_CORRUPT',
  'RAFT_STORAGE_IDENTITY',
  'RAFT_STORAGE_UNREADABLE',
  'RAFT_STATE_BEHIND_LOG',
  'STORE_DATABASE',
];

/** What the cluster stores is of a newer version than this program, or much older: another program helps. */
const WRONG_PROGRAM: readonly unknown[] = ['STORE_FEATURE_LEVEL', 'STORE_COMMAND_FORMAT'];

/** Whether log or state of this node's Raft member are of no use any more. */
export function isDamage(error: unknown): error is Error {
  return DAMAGE.includes((error as { code?: unknown }).code);
}

/** Whether an error's message says all that its reader needs: where it was thrown is no help. */
export function isPlain(error: unknown): error is Error {
  const { code, name } = error as { code?: unknown; name?: unknown };
  const ofStorage = typeof code === 'string' && code.startsWith('RAFT_STORAGE_');
  return isDamage(error) || WRONG_PROGRAM.includes(code) || ofStorage || name === 'ApiError';
}
