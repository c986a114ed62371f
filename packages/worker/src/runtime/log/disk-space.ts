import { statfsSync } from 'node:fs';

/** What the file system of a log says of itself. */
export interface DiskSpace {
  /** Whether programs other than root's find no room. */
  readonly isFull: boolean;
  /** A file grows by this many bytes at once; undefined if it may end anywhere when the disk is full. */
  readonly blockBytes: number | undefined;
}

/** With fewer blocks left, one of several tasks that write may find none. */
const LEAST_BLOCKS = 16;
/** Types of statfs(2) whose files take whole blocks, in which a program writes on when no other is free. */
const WHOLE_BLOCKS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x01021994, // tmpfs
  0x58465342, // XFS
]);

/** @throws Error of the system */
export function diskSpace(folder: string): DiskSpace {
  const { bavail, bsize, type } = statfsSync(folder);
  return {
    isFull: bavail < LEAST_BLOCKS,
    blockBytes: WHOLE_BLOCKS.has(type) ? bsize : undefined,
  };
}
