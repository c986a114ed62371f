import type { CheckedPeer } from '../checked.js';

/** Whether a peer that was alive is not any more: it is down, or no peer. */
export function hasGone(before: CheckedPeer, after: ReadonlyMap<string, CheckedPeer>): boolean {
  const now = after.get(before.nodeId);
  return !before.down && (now === undefined || now.down);
}
