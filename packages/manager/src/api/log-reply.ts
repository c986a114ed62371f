import type { ServerResponse } from 'node:http';
import type { Clock } from '@swarm/api';
import type { LogItem } from '../logbroker/index.js';
import type { View } from '../store/store.js';
import { LineJoiner, type SourcedPiece } from './line-joiner.js';
import { frame, line, NOTICE_KEY } from './log-frame.js';
import { ReplyBatch } from './reply-batch.js';

/** TCP probes a client that is silent for this long: one whose host died holds no stream. */
const KEEP_ALIVE_MS = 30_000;
/** Warnings kept until the end of a stream. */
const WARNINGS_LIMIT = 20;
/** Tasks that a client has seen a line of; beyond it, the oldest are forgotten. */
const SHOWN_LIMIT = 10_000;

export interface LogReplyOptions {
  readonly timestamps: boolean;
  readonly details: boolean;
  /** Whether the client takes standard error, where notices go. */
  readonly stderr: boolean;
  /** A terminal has one stream, so there is nothing to tell apart and no framing. */
  readonly terminal: boolean;
  /** The content type depends on it: frames have one of their own since API 1.42. */
  readonly minor: number;
  /** Whether the client can show lines of tasks that are no longer in the cluster. */
  readonly removed: boolean;
  /** Of all tasks. */
  readonly serviceId: string;
}

/** Writes a log in Docker's format, as fast as the client reads. */
export class LogReply {
  readonly #response: ServerResponse;
  readonly #options: LogReplyOptions;
  readonly #view: View;
  readonly #clock: Clock;
  readonly #batch: ReplyBatch;
  readonly #joiner = new LineJoiner();
  readonly #warnings: string[] = [];
  readonly #shown = new Set<string>();

  constructor(response: ServerResponse, options: LogReplyOptions, view: View, clock: Clock) {
    this.#response = response;
    this.#options = options;
    this.#view = view;
    this.#clock = clock;
    this.#batch = new ReplyBatch(response, clock);
  }

  /** Sends the head, once. */
  begin(): void {
    const response = this.#response;
    if (response.headersSent) return;
    const { terminal, minor } = this.#options;
    response.writeHead(200, {
      'Content-Type':
        !terminal && minor >= 42
          ? 'application/vnd.docker.multiplexed-stream'
          : 'application/vnd.docker.raw-stream',
    });
    response.flushHeaders();
    response.socket?.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  /** Resolves when there is room for more, or the client is gone. */
  async put(item: LogItem, ended: AbortSignal): Promise<void> {
    this.begin();
    if (item.type === 'line') await this.#piece(item, ended);
    else if (item.type === 'notice') await this.#notice(item.message, item.taskId, ended);
    else if (item.type === 'warning') this.warn(item.message);
  }

  /** Stock clients stop at the first error in the stream, so it comes after all lines. */
  warn(message: string): void {
    if (this.#warnings.length < WARNINGS_LIMIT) this.#warnings.push(message);
  }

  end(): void {
    this.begin();
    const response = this.#response;
    for (const each of this.#joiner.end()) {
      const text = this.#line(each);
      if (text !== undefined) this.#batch.put(text);
    }
    for (const warning of this.#warnings) {
      const text = Buffer.from(`Error grabbing logs: ${warning}\n`);
      this.#batch.put(this.#options.terminal ? text : frame('error', text));
    }
    this.#batch.flush();
    response.end();
  }

  async #piece(piece: SourcedPiece, ended: AbortSignal): Promise<void> {
    const { terminal, timestamps, details } = this.#options;
    if (terminal && !timestamps && !details) {
      // What a program draws on its terminal is no lines.
      await this.#batch.write(piece.line.data, ended);
      return;
    }
    for (const whole of this.#joiner.push(piece)) {
      const text = this.#line(whole);
      if (text !== undefined) await this.#batch.write(text, ended);
    }
  }

  /** Undefined for a line that the client cannot show. */
  #line({ nodeId, line: record }: SourcedPiece): Buffer | undefined {
    const { serviceId, terminal } = this.#options;
    if (!this.#isNamed(record.taskId)) return undefined;
    const text = line({ ...record, nodeId, serviceId }, this.#options);
    return terminal ? text : frame(record.stream, text);
  }

  /** Stock clients ask for the name of each task at its first line, and end when there is no such task. */
  #isNamed(taskId: string): boolean {
    const { details, removed } = this.#options;
    if (!details || removed || this.#shown.has(taskId)) return true;
    if (this.#view.get('task', taskId) === undefined) return false;
    if (this.#shown.size >= SHOWN_LIMIT) {
      const [oldest] = this.#shown;
      this.#shown.delete(oldest!);
    }
    this.#shown.add(taskId);
    return true;
  }

  /** Goes to standard error, marked: Docker's format has nothing else that does not end the log. */
  async #notice(message: string, taskId: string | undefined, ended: AbortSignal): Promise<void> {
    const { stderr, terminal, details, serviceId } = this.#options;
    if (!stderr || terminal) return;
    const task = taskId === undefined ? undefined : this.#view.get('task', taskId);
    // With details, stock clients take only lines of a task.
    if (details && task === undefined) return;
    const record = {
      taskId: taskId ?? '',
      stream: 'stderr' as const,
      timestamp: new Date(this.#clock.now()).toISOString(),
      data: Buffer.from(`[swarm] ${message}\n`),
    };
    const source = { nodeId: task?.NodeID ?? '', serviceId };
    const text = line({ ...record, ...source }, this.#options, { [NOTICE_KEY]: '1' });
    await this.#batch.write(frame('stderr', text), ended);
  }
}
