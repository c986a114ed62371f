import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

interface Request {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}

/** What a child reports without being asked. */
interface Told {
  readonly told: unknown;
}

export interface ChildOptions {
  /** For Node. */
  readonly flags?: readonly string[];
  /** An open file for its output. Default: its parent's. */
  readonly output?: number;
  /** Receives, in order, what the child sends with `tell`, before the answer to any later call. */
  readonly onTold?: (what: unknown) => void;
}

/** A process that answers calls. It ends when its parent does. */
export class Child {
  private readonly process: ChildProcess;
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private nextId = 1;
  /** Resolves when the process is gone: `SIGKILL`, or its exit code as text. */
  readonly ended: Promise<string>;

  /** @param program a file beside this one, or an absolute path */
  constructor(program: string, { flags = [], output, onTold }: ChildOptions = {}) {
    const stdio = output === undefined ? 'inherit' : output;
    this.process = fork(resolve(import.meta.dirname, program), {
      execArgv: [...flags],
      stdio: ['ignore', stdio, stdio, 'ipc'],
    });
    this.ended = once(this.process, 'exit').then(([code, signal]) => String(signal ?? code));
    // A call to a process that has just died fails with its end, below.
    this.process.on('error', () => {});
    this.process.on('message', (message: Reply | Told) => {
      if ('told' in message) {
        onTold?.(message.told);
        return;
      }
      this.waiting.get(message.id)?.(message);
      this.waiting.delete(message.id);
    });
    this.process.on('exit', (code, signal) => {
      const error = `${program} ended (${signal ?? code})`;
      for (const [id, done] of this.waiting) done({ id, error });
      this.waiting.clear();
    });
  }

  call<Result>(method: string, argument?: unknown): Promise<Result> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      if (!this.process.connected) return reject(new Error('the process has ended'));
      this.waiting.set(id, ({ error, result }) =>
        error === undefined ? resolve(result as Result) : reject(new Error(error)),
      );
      this.process.send({ id, method, argument } satisfies Request);
    });
  }

  /** Pauses the process, resumes it, or kills it without waiting for its end. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.process.kill(signal);
  }

  /** Resolves when the process is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill(signal);
      await this.ended;
    }
  }
}

type Methods = Readonly<Record<string, (argument: never) => unknown>>;

/** The child's side: sends the parent something it did not ask for. */
export function tell(what: unknown): void {
  process.send?.({ told: what } satisfies Told);
}

/** The child's side. */
export function answerCalls(methods: Methods): void {
  process.on('message', ({ id, method, argument }: Request) => {
    const job = async () => methods[method]!(argument as never);
    job().then(
      (result) => process.send?.({ id, result } satisfies Reply),
      (error: unknown) =>
        process.send?.({ id, error: String((error as Error).stack) } satisfies Reply),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
