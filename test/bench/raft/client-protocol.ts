/**
 * The protocol between the load and our members: requests and replies of fixed size over TCP, any
 * number in flight on a connection, answered in any order. One request is one proposal, and its
 * reply comes when it is committed and applied, as in etcd's Put.
 *
 *     request   0 u32 id   4 key (8 bytes)   12 value (256 bytes)
 *     reply     0 u32 id   4 u8 0 when applied, 1 when not
 */
export const KEY_BYTES = 8;
export const VALUE_BYTES = 256;
export const DATA_BYTES = KEY_BYTES + VALUE_BYTES;
export const ID_BYTES = 4;
export const REQUEST_BYTES = ID_BYTES + DATA_BYTES;
export const REPLY_BYTES = ID_BYTES + 1;
export const APPLIED = 0;
export const REFUSED = 1;

/** The number of different keys, for either system. */
export const KEY_COUNT = 10_000;

/** Cuts a socket's bytes into pieces of one size; pieces are parts of the socket's buffers. */
export class Cutter {
  private readonly size: number;
  private rest: Buffer | undefined;

  constructor(size: number) {
    this.size = size;
  }

  cut(chunk: Buffer, each: (piece: Buffer) => void): void {
    const bytes = this.rest === undefined ? chunk : Buffer.concat([this.rest, chunk]);
    let offset = 0;
    for (; offset + this.size <= bytes.length; offset += this.size) {
      each(bytes.subarray(offset, offset + this.size));
    }
    this.rest = offset === bytes.length ? undefined : bytes.subarray(offset);
  }
}
