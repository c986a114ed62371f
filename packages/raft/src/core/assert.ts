/**
 * A fault of ours, never of a caller: the member must stop rather than go on with a broken invariant.
 */
export class RaftFaultError extends Error {
  readonly code = 'RAFT_FAULT';
}

/**
 * Checks an invariant, in production too.
 * @throws RaftFaultError with the two numbers appended, which are passed apart so that the hot path
 *   builds no strings.
 */
export function assert(
  condition: boolean,
  what: string,
  a?: number,
  b?: number,
): asserts condition {
  if (condition) return;
  const numbers = [a, b].filter((n) => n !== undefined).join(', ');
  throw new RaftFaultError(numbers === '' ? what : `${what} (${numbers})`);
}
