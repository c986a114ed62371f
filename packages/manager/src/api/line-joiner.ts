import type { LogLine } from '@swarm/api';

/** Longest line that is shown as one. */
export const LINE_LIMIT_BYTES = 1024 * 1024;
/** Bytes of unfinished lines that one reader holds. */
export const HELD_LIMIT_BYTES = 4 * 1024 * 1024;

/** Stands where a line was cut that is too long, or whose rest takes too much memory. */
export const CUT_MARK = ' [swarm: this line is cut here and goes on in the next one]\n';

/** A piece of a line and the node it comes from. */
export interface SourcedPiece {
  readonly nodeId: string;
  readonly line: LogLine;
}

interface Held {
  /** The first piece: its time is the line's. */
  readonly first: SourcedPiece;
  readonly parts: Uint8Array[];
  bytes: number;
}

/** Puts together the pieces of long lines, each stream of each task by itself. */
export class LineJoiner {
  readonly #held = new Map<string, Held>();
  #bytes = 0;

  /** Returns the lines that this piece completes. */
  push(piece: SourcedPiece): SourcedPiece[] {
    const { taskId, stream, data, partial } = piece.line;
    const key = `${taskId}/${stream}`;
    const held = this.#held.get(key);
    if (held === undefined && partial !== true) return data.byteLength === 0 ? [] : [piece];
    const done: SourcedPiece[] = [];
    if (held !== undefined && held.bytes + data.byteLength > LINE_LIMIT_BYTES)
      done.push(this.#cut(key, held));
    if (data.byteLength > 0) this.#hold(key, piece);
    const now = this.#held.get(key);
    if (partial !== true && now !== undefined) done.push(this.#take(key, now));
    while (this.#bytes > HELD_LIMIT_BYTES) {
      const [longest, line] = [...this.#held].reduce((a, b) => (b[1].bytes > a[1].bytes ? b : a));
      done.push(this.#cut(longest, line));
    }
    return done;
  }

  /** Returns lines whose rest did not come. */
  end(): SourcedPiece[] {
    return [...this.#held].map(([key, held]) => this.#take(key, held));
  }

  #hold(key: string, piece: SourcedPiece): void {
    const { data } = piece.line;
    const held = this.#held.get(key);
    this.#bytes += data.byteLength;
    if (held === undefined) {
      this.#held.set(key, { first: piece, parts: [data], bytes: data.byteLength });
    } else {
      held.parts.push(data);
      held.bytes += data.byteLength;
    }
  }

  #take(key: string, held: Held): SourcedPiece {
    this.#held.delete(key);
    this.#bytes -= held.bytes;
    return joined(held, Buffer.concat(held.parts));
  }

  /** Cuts between two characters; what is left of the last one begins the next line. */
  #cut(key: string, held: Held): SourcedPiece {
    const { line, nodeId } = this.#take(key, held);
    const data = line.data as Buffer;
    const end = wholeCharacters(data);
    if (end < data.byteLength)
      this.#hold(key, { nodeId, line: { ...line, data: data.subarray(end) } });
    return joined(held, Buffer.concat([data.subarray(0, end), Buffer.from(CUT_MARK)]));
  }
}

function joined({ first: { nodeId, line } }: Held, data: Buffer): SourcedPiece {
  const { partial: _, ...rest } = line;
  return { nodeId, line: { ...rest, data } };
}

/** How many bytes there are before a character of UTF-8 that has only begun; all when it is something else. */
function wholeCharacters(data: Uint8Array): number {
  const length = data.byteLength;
  for (let back = 1; back <= 3 && back <= length; back += 1) {
    const byte = data[length - back]!;
    if (byte < 0x80) return length;
    if (byte < 0xc0) continue;
    const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return size > back ? length - back : length;
  }
  return length;
}
