/** A file or folder of an archive. */
export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string;
  /** Type and permissions as in `st_mode`: 0o040755, 0o100755. */
  readonly mode: number;
  /** Empty for a folder. */
  readonly data: Uint8Array;
}

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
const ALIGN_BYTES = 4;

/** Packs an archive in the format `newc`, which the kernel unpacks as its first root. */
export function packCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const [i, entry] of entries.entries()) parts.push(pack(entry, i + 1));
  parts.push(pack({ path: TRAILER, mode: 0, data: new Uint8Array() }, 0));
  return Buffer.concat(parts);
}

function pack({ path, mode, data }: CpioEntry, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  // uid, gid, links, mtime; then after the size the device and the device of a node; last the checksum.
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(data)]);
}

function padded(data: Uint8Array): Buffer {
  const rest = data.length % ALIGN_BYTES;
  return Buffer.concat([data, Buffer.alloc(rest === 0 ? 0 : ALIGN_BYTES - rest)]);
}
