import type { FileSystem } from './file-system.js';
import { type Identity, writeIdentity } from './identity-file.js';

/** Updates the identity file behind the log. Makes one write at a time; the latest request wins. */
export class IdentityKeeper {
  private readonly path: string;
  private readonly files: FileSystem;
  private readonly onError: (error: unknown) => void;
  private identity: Identity;
  private written: Identity;
  private running: Promise<void> | undefined;

  constructor(
    path: string,
    identity: Identity,
    files: FileSystem,
    onError: (error: unknown) => void,
  ) {
    this.path = path;
    this.files = files;
    this.identity = identity;
    this.written = identity;
    this.onError = onError;
  }

  get current(): Identity {
    return this.identity;
  }

  /** The lower bound last requested. */
  get durableSequence(): number {
    return this.identity.durableSequence;
  }

  /** Raises the lower bound in the background. */
  advance(durableSequence: number): void {
    if (durableSequence <= this.identity.durableSequence) return;
    this.identity = { ...this.identity, durableSequence };
    this.running ??= this.run()
      .catch(this.onError)
      .finally(() => {
        this.running = undefined;
      });
  }

  /** Writes a change and waits for it. */
  async change(change: Partial<Identity>): Promise<void> {
    await this.running;
    this.identity = { ...this.identity, ...change };
    await this.run();
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.written !== this.identity) {
      const { identity } = this;
      await writeIdentity(this.path, identity, this.files);
      this.written = identity;
    }
  }
}
