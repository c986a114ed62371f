import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type BatchOptions, type BatchReport, runBatch } from './batch.js';
import { describeBatch, type SeedBatch } from './seed-order.js';
import type { Simulator } from './simulator.js';

/** Runs batches, one at a time. */
export interface BatchRunner {
  /** @throws what a run, or its process, failed with; the runner is then of no further use */
  run(batch: SeedBatch): Promise<BatchReport>;
  /** Stops at once; a batch under way never gets an answer. */
  end(): void;
}

/** Runs batches in this process. */
export class LocalRunner implements BatchRunner {
  readonly #simulator: Simulator;
  readonly #options: BatchOptions;

  constructor(simulator: Simulator, options: BatchOptions) {
    this.#simulator = simulator;
    this.#options = options;
  }

  run(batch: SeedBatch): Promise<BatchReport> {
    return runBatch(this.#simulator, this.#options, batch);
  }

  end(): void {}
}

/** What a child is asked, and what it answers. */
export interface BatchOrder {
  readonly options: BatchOptions;
  readonly batch: SeedBatch;
}
export type BatchAnswer = { readonly report: BatchReport } | { readonly error: string };

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));

/** Runs batches in a child process, on a core of its own if there is one. */
export class ChildRunner implements BatchRunner {
  readonly #options: BatchOptions;
  readonly #child: ChildProcess;
  #batch: SeedBatch | undefined;
  #answer: ((answer: BatchAnswer) => void) | undefined;
  #dead: string | undefined;
  #ended = false;

  /** @param program the address of a module that exports a `simulator` */
  constructor(program: string, options: BatchOptions) {
    this.#options = options;
    // Its output is ours to show; the parent's own options are not for it.
    this.#child = fork(CHILD, [program], {
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (answer) => this.#take(answer as BatchAnswer));
    this.#child.on('error', (error) => this.#died(error.message));
    this.#child.on('exit', (code, signal) => this.#died(signal ?? `exit code ${code}`));
  }

  /** Of the child; undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  run(batch: SeedBatch): Promise<BatchReport> {
    return new Promise((resolve, reject) => {
      this.#batch = batch;
      this.#answer = (answer) => {
        if ('report' in answer) resolve(answer.report);
        else reject(new Error(answer.error));
      };
      if (this.#dead !== undefined) this.#died(this.#dead);
      else this.#child.send({ options: this.#options, batch } satisfies BatchOrder);
    });
  }

  #take(answer: BatchAnswer): void {
    const settle = this.#answer;
    this.#answer = undefined;
    settle?.(answer);
  }

  #died(why: string): void {
    this.#dead = why;
    if (this.#ended || this.#batch === undefined) return;
    const what = describeBatch(this.#options.order, this.#batch);
    this.#take({ error: `the process that ran ${what} is gone: ${why}` });
  }

  end(): void {
    this.#ended = true;
    this.#child.kill('SIGKILL');
  }
}
