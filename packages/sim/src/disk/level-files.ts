import type { Items } from './content.js';

/** A change as a table stores it. Without a value, the key is deleted. */
export type TableRow = readonly [key: string, value: Uint8Array | undefined];
export type Table = Items<TableRow>;

/** The content of LevelDB's catalogue: the last complete version counts. */
export interface Version {
  /** Write-ahead files below it are in tables. */
  readonly logNumber: number;
  readonly nextFile: number;
  readonly lastSequence: number;
  /** Numbers of the tables, oldest first. */
  readonly tables: readonly number[];
}
export type Manifest = Items<Version>;

export const CURRENT = 'CURRENT';
export const INFO_LOG = 'LOG';

const DIGITS = 6;
const NUMBERED = /^(?:MANIFEST-)?(\d+)(?:\.(?:log|ldb|dbtmp))?$/;

function padded(number: number): string {
  return String(number).padStart(DIGITS, '0');
}

export function logName(number: number): string {
  return `${padded(number)}.log`;
}

export function tableName(number: number): string {
  return `${padded(number)}.ldb`;
}

export function manifestName(number: number): string {
  return `MANIFEST-${padded(number)}`;
}

export function temporaryName(number: number): string {
  return `${padded(number)}.dbtmp`;
}

/** @returns undefined for files without a number */
export function numberOf(name: string): number | undefined {
  const match = NUMBERED.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** Turns a key into a string that sorts as LevelDB sorts the bytes. */
export function keyText(key: Uint8Array): string {
  return String.fromCharCode(...key);
}

export function keyBytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** Makes an error as the package `level` throws it. */
export function levelError(
  code: 'LEVEL_LOCKED' | 'LEVEL_CORRUPTION' | 'LEVEL_IO_ERROR' | 'LEVEL_DATABASE_NOT_OPEN',
  message: string,
): Error {
  return Object.assign(new Error(message), { code });
}
