import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { RuntimeError } from '../runtime-error.js';

const FOLDER = '/run/netns';
const OUTPUT_LIMIT_BYTES = 4096;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;

interface Request {
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Named network namespaces. Batches the requests that arrive while one `ip` runs, so that a hundred tasks
 * cost a few spawns.
 */
export class NetNamespaces {
  readonly #ip: () => string;
  #waiting: Request[] = [];
  #running = false;

  /** @param ip returns the path of iproute2's `ip`; called when it is first needed */
  constructor(ip: () => string) {
    this.#ip = ip;
  }

  /**
   * The namespace's file.
   * @throws RuntimeError when the name would be more than one word of a batch, or another path
   */
  path(name: string): string {
    if (!NAME.test(name)) {
      throw new RuntimeError('failed', `${JSON.stringify(name)} cannot name a network namespace.`);
    }
    return `${FOLDER}/${name}`;
  }

  /** Makes the namespace unless it exists. Whoever attaches it brings its loopback up. */
  async add(name: string): Promise<void> {
    if (existsSync(this.path(name))) return;
    // `ip` would make it under the daemon's umask, and nobody else could list namespaces any more.
    if (mkdirSync(FOLDER, { recursive: true }) !== undefined) chmodSync(FOLDER, 0o755);
    await this.#request(`netns add ${name}`);
  }

  /** Brings up the loopback of a namespace that nobody attaches. */
  async raiseLoopback(name: string): Promise<void> {
    this.path(name);
    const error = await run(this.#ip(), ['-n', name, 'link', 'set', 'lo', 'up'], []);
    if (error === '') return;
    throw new RuntimeError('failed', `Could not bring up the loopback of ${name}: ${error}.`);
  }

  /** Removes the namespace, if it exists. */
  async remove(name: string): Promise<void> {
    if (existsSync(this.path(name))) await this.#request(`netns del ${name}`);
  }

  #request(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, resolve, reject });
      if (!this.#running) this.#drain();
    });
  }

  #drain(): void {
    this.#running = true;
    void (async () => {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting;
        this.#waiting = [];
        await this.#runBatch(batch);
      }
      this.#running = false;
    })();
  }

  async #runBatch(batch: readonly Request[]): Promise<void> {
    // -force: a failing command must not take the others along; the outcome shows which one failed.
    const error = await run(
      this.#ip(),
      ['-force', '-batch', '-'],
      batch.map(({ line }) => line),
    );
    for (const request of batch) {
      const [, verb, name] = request.line.split(' ');
      if (existsSync(this.path(name ?? '')) === (verb === 'add')) request.resolve();
      else {
        request.reject(
          new RuntimeError(
            'failed',
            `Could not ${verb === 'add' ? 'create' : 'remove'} the network namespace ${name}: ${error || 'ip gave no reason'}.`,
          ),
        );
      }
    }
  }
}

function run(program: string, args: readonly string[], lines: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors = (errors + chunk).slice(0, OUTPUT_LIMIT_BYTES);
    });
    child.stdin.on('error', () => {
      // It ended early; each line's outcome is checked.
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', () => resolve(errors.trim()));
    child.stdin.end(`${lines.join('\n')}\n`);
  });
}
