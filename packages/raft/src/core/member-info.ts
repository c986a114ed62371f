import type { MemberInfo } from './types.js';

/** Longest address and node id of a member, in characters. A host name has at most 253 (RFC 1035). */
export const MEMBER_TEXT_LIMIT = 300;

/** Excludes spaces and control characters, and whatever would end the host and port in a URL. */
const WORD = /^[^\s\p{C}/?#@\\]*$/u;

/**
 * Checks that address and node id can go into a URL and a log as they are. The core accepts any
 * such word as an address; an empty one stands for a member that nobody described.
 * @returns what is wrong; undefined when nothing is
 */
export function checkMemberInfo({ id, address, nodeId }: MemberInfo): string | undefined {
  for (const [what, text] of [
    ['address', address],
    ['node id', nodeId],
  ] as const) {
    if (text.length > MEMBER_TEXT_LIMIT) return `the ${what} of member ${id} is too long`;
    if (!WORD.test(text))
      return `the ${what} of member ${id} holds a character that is not allowed`;
  }
  return undefined;
}
