/**
 * A fault in our own code, never a caller's. The member must stop rather than continue with a
 * broken invariant.
 */
export class RaftFaultError extends Error {
  readonly code = 'RAFT_FAULT';
}

/**
 * Checks an invariant, in production too. Takes the two numbers of the message separately, so that
 * the hot path builds no strings.
 * @throws RaftFaultError with the two numbers appended
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
