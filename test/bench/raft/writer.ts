/** A connection to a leader. */
export interface Writer {
  readonly isOpen: boolean;
  /** Writes a value under `key`; `done` is called once, when the write is committed and applied. */
  write(key: Buffer, done: (ok: boolean) => void): void;
  close(): void;
}
