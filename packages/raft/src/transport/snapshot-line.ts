/** How a connection ended. */
export const LineEnd = {
  /** It broke, or was silent for too long: another may go on. */
  Broken: 'broken',
  /** One side ended it on purpose: what it carried is over. */
  Over: 'over',
} as const;
export type LineEnd = (typeof LineEnd)[keyof typeof LineEnd];

export interface LineEvents {
  /** Frames may be sent. Not called for a line that is open already. */
  opened(): void;
  frame(bytes: Uint8Array): void;
  /** Called once at most, and nothing after it; after `close` perhaps not at all. */
  closed(end: LineEnd, reason: string): void;
}

/**
 * One end of a snapshot's connection: frames arrive whole and in order, or it breaks. What is sent
 * before a break may have arrived or not.
 */
export interface SnapshotLine {
  /** Who hears of it from now on. */
  listen(events: LineEvents): void;
  /** Resolves when more may be sent. Rejects, at once or later, when the line is closed. */
  send(frame: Uint8Array): Promise<void>;
  /** No more frames are read, so the other side has to wait. */
  pause(): void;
  resume(): void;
  readonly isPaused: boolean;
  /** Tells the other side, if it can be told. */
  close(end: LineEnd, reason: string): void;
}
