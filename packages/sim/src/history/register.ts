/**
 * What clients do with a key. Values are whole numbers; a key that was never written has the value
 * 0.
 */
export const OpKind = { Read: 0, Write: 1, Cas: 2 } as const;
export type OpKind = (typeof OpKind)[keyof typeof OpKind];

export interface RegisterCommand {
  /** Identifies one proposal for ever: applying it twice is a fault. */
  readonly id: number;
  readonly kind: OpKind;
  readonly key: number;
  /** The value to set. */
  readonly value: number;
  /** Cas only: the value the key must have. */
  readonly expected: number;
}

export interface RegisterResult {
  /** Write: true. Cas: whether the key had the expected value. */
  readonly done: boolean;
  /** The key's value before. */
  readonly before: number;
}

const FIELDS = 5;
const U32_BYTES = 4;

/** @param padding meaningless bytes, so that entries differ in size */
export function encodeCommand(command: RegisterCommand, padding: number): Uint8Array {
  const bytes = new Uint8Array(FIELDS * U32_BYTES + padding);
  const { id, kind, key, value, expected } = command;
  writeU32(bytes, 0, id);
  writeU32(bytes, U32_BYTES, kind);
  writeU32(bytes, 2 * U32_BYTES, key);
  writeU32(bytes, 3 * U32_BYTES, value);
  writeU32(bytes, 4 * U32_BYTES, expected);
  return bytes;
}

export function decodeCommand(bytes: Uint8Array): RegisterCommand {
  return {
    id: readU32(bytes, 0),
    kind: readU32(bytes, U32_BYTES) as OpKind,
    key: readU32(bytes, 2 * U32_BYTES),
    value: readU32(bytes, 3 * U32_BYTES),
    expected: readU32(bytes, 4 * U32_BYTES),
  };
}

/** Executes a command on a map of values. */
export function execute(values: Map<number, number>, command: RegisterCommand): RegisterResult {
  const { kind, key, value, expected } = command;
  const before = values.get(key) ?? 0;
  const done = kind === OpKind.Write || (kind === OpKind.Cas && before === expected);
  if (done) values.set(key, value);
  return { done, before };
}

/** Big-endian; a DataView costs more than the rest of a command. */
function writeU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

/** @throws RangeError when the bytes end before the number does */
function readU32(source: Uint8Array, offset: number): number {
  if (offset + U32_BYTES > source.length) throw new RangeError(`bytes end at ${source.length}`);
  return (
    ((source[offset]! << 24) |
      (source[offset + 1]! << 16) |
      (source[offset + 2]! << 8) |
      source[offset + 3]!) >>>
    0
  );
}
