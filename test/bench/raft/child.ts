import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

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

/** A process of the bench's that answers calls. It ends when its parent does. */
export class Child {
  private readonly process: ChildProcess;
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private nextId = 1;
  private readonly ended: Promise<unknown>;

  /** @param program a file beside this one. @param flags for Node */
  constructor(program: string, flags: readonly string[] = []) {
    this.process = fork(join(import.meta.dirname, program), { execArgv: [...flags] });
    this.ended = once(this.process, 'exit');
    this.process.on('message', (reply: Reply) => {
      this.waiting.get(reply.id)?.(reply);
      this.waiting.delete(reply.id);
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

  /** Resolves when the process is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill(signal);
      await this.ended;
    }
  }
}

type Methods = Readonly<Record<string, (argument: never) => unknown>>;

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
