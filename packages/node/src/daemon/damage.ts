/** Errors that a Raft member cannot recover from; a restart does not help. */
const DAMAGE: readonly unknown[] = [
  'RAFT_STORAGE_CORRUPT',
  'RAFT_STORAGE_IDENTITY',
  'RAFT_STORAGE_UNREADABLE',
  'RAFT_STATE_BEHIND_LOG',
  'STORE_DATABASE',
];

/** What the cluster stores is of a newer version than this program, or much older: another program helps. */
const WRONG_PROGRAM: readonly unknown[] = ['STORE_FEATURE_LEVEL', 'STORE_COMMAND_FORMAT'];

/** Whether the log or state of this node's Raft member is unusable. */
export function isDamage(error: unknown): error is Error {
  return DAMAGE.includes((error as { code?: unknown }).code);
}

/** Whether an error's message tells its reader everything, so that a stack adds nothing. */
export function isPlain(error: unknown): error is Error {
  const { code, name } = error as { code?: unknown; name?: unknown };
  const ofStorage = typeof code === 'string' && code.startsWith('RAFT_STORAGE_');
  return isDamage(error) || WRONG_PROGRAM.includes(code) || ofStorage || name === 'ApiError';
}
