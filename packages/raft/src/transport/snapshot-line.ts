/** How a connection ended. */
export const LineEnd = {
  /** It broke, or was silent for too long: another may resume the transfer. */
  Broken: 'broken',
  /** One side ended it on purpose: what it carried is over. */
  Over: 'over',
} as const;
export type LineEnd = (typeof LineEnd)[keyof typeof LineEnd];

export interface LineEvents {
  /** Frames may be sent. Not called for a line that is already open. */
  opened(): void;
  frame(bytes: Uint8Array): void;
  /** Called at most once, and nothing after it. After `close` it may not be called at all. */
  closed(end: LineEnd, reason: string): void;
}

/**
 * One end of a snapshot's connection. Frames arrive whole and in order, or it breaks. What is sent
 * before a break may or may not have arrived.
 */
export interface SnapshotLine {
  /** Sets who receives its events from now on. */
  listen(events: LineEvents): void;
  /** Resolves when more may be sent. Rejects, at once or later, when the line is closed. */
  send(frame: Uint8Array): Promise<void>;
  /** Stops reading frames, so that the other side has to wait. */
  pause(): void;
  resume(): void;
  readonly isPaused: boolean;
  /** Closes, and tells the other side if it can be reached. */
  close(end: LineEnd, reason: string): void;
}
