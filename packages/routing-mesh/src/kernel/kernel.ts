import type { RunCommand } from './command.js';
import type { OpenNetlink } from './netlink.js';
import type { Nft } from './nft.js';

/**
 * Everything the mesh uses of the host's kernel. `systemKernel` is the real one; tests and simulations pass
 * their own, so no other file of this package uses a process, a file or a library.
 */
export interface Kernel {
  /** Whether this process may change the host's network. */
  readonly isPrivileged: boolean;
  /** Runs a program of `Program`. */
  readonly run: RunCommand;
  /** Ways into the packet filter, fastest first. Each opens one, or throws if it is not available. */
  readonly packetFilters: readonly (() => Promise<Nft>)[];
  /** Opens a socket to the kernel, for what no program of every host can do. */
  readonly openNetlink: OpenNetlink;
  /**
   * A file of `/proc` or `/sys`; undefined if it does not exist or cannot be read.
   * @param isEnough ends the reading of a long file, with what was read so far
   */
  readFile(path: string, isEnough?: (text: string) => boolean): Promise<string | undefined>;
  /** @throws when the file does not exist or the kernel rejects the text */
  writeFile(path: string, text: string): Promise<void>;
  /** Names in a folder of `/proc` or `/sys`. */
  listFolder(path: string): Promise<readonly string[]>;
}
