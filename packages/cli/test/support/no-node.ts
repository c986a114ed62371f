import type { LocalNode } from '../../src/local-node.js';

/** For command lines that have to do with a daemon alone. */
export async function noNode(): Promise<LocalNode> {
  throw new Error('this command asked for the node of this host');
}
