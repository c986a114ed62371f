import { KEY_BYTES } from './client-protocol.js';
import { connectMember } from './member-writer.js';
import type { Writer } from './writer.js';

const PAUSE_MS = 2;
/** After this long without an answer, asks a member again on a new connection. */
const ANSWER_MS = 500;

/** A client that keeps writing to one member, and records when its writes were done. */
export class Prober {
  /** Times of committed writes, by `performance.now()`. */
  readonly doneMs: number[] = [];
  private readonly running: Promise<void>;
  private ended = false;

  constructor(port: number) {
    this.running = this.run(port);
  }

  async stop(): Promise<void> {
    this.ended = true;
    await this.running;
  }

  private async run(port: number): Promise<void> {
    let writer: Writer | undefined;
    while (!this.ended) {
      writer ??= await connectMember(port).catch(() => undefined);
      if (writer === undefined) {
        await pause();
        continue;
      }
      const answer = await write(writer);
      if (answer === true) this.doneMs.push(performance.now());
      else if (answer === undefined || !writer.isOpen) {
        writer.close();
        writer = undefined;
      } else await pause();
    }
    writer?.close();
  }
}

/** Undefined when no answer came. */
function write(writer: Writer): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ANSWER_MS);
    writer.write(Buffer.alloc(KEY_BYTES), (ok) => {
      clearTimeout(timer);
      resolve(ok);
    });
  });
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
