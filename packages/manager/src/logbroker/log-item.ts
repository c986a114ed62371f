import type { LogLine, LogOptions } from '@swarm/api';
import type { LogSelector } from './selector.js';

/** What a reader of logs gets. */
export type LogItem = LogOpen | LogPiece | LogNotice | LogWarning;

/** The first item: what follows may take its time. */
export interface LogOpen {
  readonly type: 'open';
}

/** A line, or a piece of a long one. An empty piece marks where a stream goes on, and shows nothing. */
export interface LogPiece {
  readonly type: 'line';
  readonly nodeId: string;
  readonly line: LogLine;
}

/** What a follower should know while its stream goes on. */
export interface LogNotice {
  readonly type: 'notice';
  readonly message: string;
  /** A task that it concerns. */
  readonly taskId?: string;
}

/** The last item of a stream that does not follow: what is missing. */
export interface LogWarning {
  readonly type: 'warning';
  readonly message: string;
}

/** Which logs to read. */
export interface LogRequest {
  readonly selector: LogSelector;
  readonly options: LogOptions;
  /**
   * Where an earlier stream of the same request broke off: its tasks, those without a line included. Tasks
   * that it does not name came after its start and are read whole. Absent for a first stream.
   */
  readonly resume?: readonly TaskPlace[];
}

/** How far a task's log was read. */
export interface TaskPlace {
  readonly taskId: string;
  readonly stdout?: PiecePlace;
  readonly stderr?: PiecePlace;
}

/** The last piece that was read of one stream of a task. */
export interface PiecePlace {
  /** Its time, and how many pieces of that very time were read; none for a mark. */
  readonly timestamp: string;
  readonly pieces: number;
  /** Where the log goes on, from agents that say so. */
  readonly position?: string;
}
