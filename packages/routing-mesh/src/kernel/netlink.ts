import type { NetlinkRequest } from '../netlink/message.js';

/** Which part of the kernel a socket talks to. */
export type NetlinkProtocol = 'generic' | 'xfrm';

/** A socket to the kernel, in the network namespace in which it was opened. */
export interface NetlinkSocket {
  /**
   * Sends a request and reads the whole answer. The kernel answers within the call, so this does not wait.
   * @returns payloads of the answer, without headers; none for a change
   * @throws NetlinkError
   */
  request(request: NetlinkRequest): readonly Buffer[];
  close(): void;
}

/** Opens sockets; throws NetlinkError when the kernel has no such part, or Error when we cannot open any. */
export type OpenNetlink = (protocol: NetlinkProtocol) => Promise<NetlinkSocket>;

/** Numbers of errors that we tell apart (asm-generic/errno.h). */
export const ENOENT = 2;
export const ESRCH = 3;
export const EEXIST = 17;

/** The kernel refused a request. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  /** The kernel's number of the error. */
  readonly errno: number;

  constructor(what: string, errno: number, meaning: string) {
    super(`${what}: ${meaning}`);
    this.errno = errno;
  }
}
