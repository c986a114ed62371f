import type { CheckedPeer } from '../checked.js';

/** Whether a peer that was alive no longer is: it is down, or not a peer any more. */
export function hasGone(before: CheckedPeer, after: ReadonlyMap<string, CheckedPeer>): boolean {
  const now = after.get(before.nodeId);
  return !before.down && (now === undefined || now.down);
}
