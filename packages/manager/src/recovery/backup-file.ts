import { crc32 } from 'node:zlib';
import { ApiError, shape, ShapeError, showControls } from '@swarm/api';

/**
 * The format of a backup file:
 *
 *     8 bytes   `swarmbak`
 *     u32       length of the header
 *     header    JSON, see BackupHeader
 *     chunks    u32 length, then that many bytes; together the state as a snapshot stream
 *     u32       0: no more chunks
 *     u64       total bytes of the chunks
 *     u32       CRC-32 of everything before it
 *
 * Numbers are big-endian. The checksum comes last, so a truncated file never passes for a whole one.
 */
export const BACKUP_FORMAT = 1;

/** What a backup contains, and where it comes from. */
export interface BackupHeader {
  readonly format: number;
  readonly clusterId: string;
  /** Log index and term of the state. */
  readonly index: number;
  readonly term: number;
  /** The managers, as of that index. */
  readonly members: readonly {
    readonly raftId: number;
    readonly nodeId: string;
    readonly address: string;
  }[];
  /** Raft ids of members removed earlier. */
  readonly removed: readonly number[];
  /** RFC 3339. */
  readonly madeAt: string;
  /** Node id of the manager that made it. */
  readonly madeBy: string;
}

/** Far beyond what any cluster reaches; a larger index could overflow the restored manager's log. */
const INDEX_LIMIT = 2 ** 48;
const MEMBERS_LIMIT = 1_000;
const REMOVED_LIMIT = 100_000;
const ADDRESS_LIMIT = 320;

const { integer, list, objectId, record, text, timestamp } = shape;
const raftId = integer(1);

/** Strict, because the file may be forged. */
const HEADER = record<BackupHeader>({
  format: integer(BACKUP_FORMAT, BACKUP_FORMAT),
  clusterId: objectId,
  index: integer(1, INDEX_LIMIT),
  term: integer(0, INDEX_LIMIT),
  members: list(
    record<BackupHeader['members'][number]>({
      raftId,
      nodeId: objectId,
      address: text(ADDRESS_LIMIT),
    }),
    MEMBERS_LIMIT,
  ),
  removed: list(raftId, REMOVED_LIMIT),
  madeAt: timestamp,
  madeBy: objectId,
});

const MAGIC = Buffer.from('swarmbak');
const HEADER_LIMIT_BYTES = 1024 * 1024;
const CHUNK_LIMIT_BYTES = 1024 * 1024;
const U32 = 4;
const U64 = 8;

/** Yields the bytes of a backup. Holds one chunk at a time. */
export async function* writeBackup(
  header: BackupHeader,
  state: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let crc = 0;
  let total = 0;
  const sum = (bytes: Uint8Array): Uint8Array => {
    crc = crc32(bytes, crc);
    return bytes;
  };
  const json = Buffer.from(JSON.stringify(header));
  yield sum(Buffer.concat([MAGIC, u32(json.length), json]));
  for await (const chunk of state) {
    if (chunk.length === 0) continue;
    total += chunk.length;
    yield sum(u32(chunk.length));
    yield sum(chunk);
  }
  const end = Buffer.alloc(U32 + U64);
  end.writeBigUInt64BE(BigInt(total), U32);
  yield sum(end);
  yield u32(crc);
}

/** The bytes of a backup, as far as they are there. */
export interface BackupBytes {
  /** Fewer than `length` bytes only at the end. */
  read(position: number, length: number): Promise<Buffer>;
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

/** Opens a backup from its start; may be called again. `backupFile` is the real one. */
export type OpenBackup = () => Promise<BackupBytes>;

/** An opened backup: its header, then its state. */
export interface BackupReading {
  readonly header: BackupHeader;
  /** Ends normally only if length and checksum match. @throws ApiError INVALID_ARGUMENT */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Reads the header of a backup, and opens it again for its state. Do not use the state before `chunks` has
 * ended.
 * @throws ApiError INVALID_ARGUMENT when it is not a backup, or has a newer format
 */
export async function readBackup(open: OpenBackup): Promise<BackupReading> {
  const reader = new BackupReader(open);
  const header = decodeHeader(await reader.header());
  return { header, chunks: reader.chunks() };
}

class BackupReader {
  readonly #open: OpenBackup;
  #position = 0;
  #crc = 0;

  constructor(open: OpenBackup) {
    this.#open = open;
  }

  async header(): Promise<Buffer> {
    const source = await this.#open();
    try {
      const head = await this.#summed(source, MAGIC.length + U32);
      if (!head.subarray(0, MAGIC.length).equals(MAGIC)) {
        throw damaged('it is not a backup of a swarm');
      }
      const length = head.readUInt32BE(MAGIC.length);
      if (length === 0 || length > HEADER_LIMIT_BYTES)
        throw damaged(`its header has ${length} bytes`);
      return await this.#summed(source, length);
    } finally {
      await source.close();
    }
  }

  /** Opens the backup itself, so that a reader of the header alone leaves nothing open. */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const source = await this.#open();
    try {
      let total = 0;
      for (;;) {
        const head = await this.#summed(source, U32);
        const length = head.readUInt32BE();
        if (length === 0) break;
        if (length > CHUNK_LIMIT_BYTES) throw damaged(`it has a chunk of ${length} bytes`);
        const chunk = await this.#summed(source, length);
        total += length;
        yield chunk;
      }
      const end = await this.#summed(source, U64);
      if (end.readBigUInt64BE() !== BigInt(total)) throw damaged('its length does not match');
      if ((await this.#read(source, U32)).readUInt32BE() !== this.#crc) {
        throw damaged('its checksum does not match');
      }
      if ((await source.sizeBytes()) !== this.#position) throw damaged('it goes on after its end');
    } finally {
      await source.close();
    }
  }

  async #read(source: BackupBytes, length: number): Promise<Buffer> {
    const bytes = await source.read(this.#position, length);
    if (bytes.length < length) throw damaged('it was cut off before its end');
    this.#position += length;
    return bytes;
  }

  /** Reads what the checksum covers. */
  async #summed(source: BackupBytes, length: number): Promise<Buffer> {
    const bytes = await this.#read(source, length);
    this.#crc = crc32(bytes, this.#crc);
    return bytes;
  }
}

function decodeHeader(bytes: Buffer): BackupHeader {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw damaged('its header cannot be read');
  }
  const format = (value as { readonly format?: unknown } | null)?.format;
  if (typeof format === 'number' && format > BACKUP_FORMAT) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `the backup has format ${format}, this version reads ${BACKUP_FORMAT}: upgrade this node`,
    );
  }
  let header: BackupHeader;
  try {
    header = HEADER.read(value);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw damaged(`its header is invalid (${showControls(error.message)})`);
  }
  const ids = [...header.members.map(({ raftId }) => raftId), ...header.removed];
  if (new Set(ids).size < ids.length) throw damaged('its header names a member twice');
  return header;
}

function damaged(what: string): ApiError {
  return new ApiError(
    'INVALID_ARGUMENT',
    `the backup cannot be used: ${what}. Nothing was changed; use another copy of it`,
  );
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(U32);
  bytes.writeUInt32BE(value);
  return bytes;
}
