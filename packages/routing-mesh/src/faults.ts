import { type Logger, showControls } from '@swarm/api';
import { BadPart } from './bad-part.js';

/** New faults of a state that are logged one by one. */
const FAULTS_LOGGED = 20;
/** Characters of a received name, which may be anything. */
const NAME_LIMIT = 64;

/** What was left out of a state, by name: `peer x`, `port tcp/80`. */
export type Faults = Map<string, string>;

/** Logs each fault once, as long as it persists. */
export class FaultLog {
  readonly #logger: Logger;
  #known: Faults = new Map();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** These are all faults of the state. */
  replace(faults: Faults): void {
    const before = this.#known;
    this.#known = faults;
    this.#tell(faults, before);
  }

  /** These came, after those of the parts that changed went. */
  change(gone: Iterable<string>, faults: Faults): void {
    const before: Faults = new Map();
    for (const part of gone) {
      const why = this.#known.get(part);
      if (why !== undefined) before.set(part, why);
      this.#known.delete(part);
    }
    for (const [part, why] of faults) this.#known.set(part, why);
    this.#tell(faults, before);
  }

  #tell(faults: Faults, before: Faults): void {
    let told = 0;
    let more = 0;
    for (const [part, why] of faults) {
      if (before.get(part) === why) continue;
      if (told === FAULTS_LOGGED) more += 1;
      else {
        told += 1;
        this.#logger.warn({ part, why }, `left out of the mesh: ${part}: ${why}`);
      }
    }
    if (more > 0) this.#logger.warn({ more }, `left out of the mesh: ${more} more`);
  }
}

export function note(faults: Faults, kind: string, name: string, error: unknown): void {
  if (!(error instanceof BadPart)) throw error;
  faults.set(`${kind} ${name}`, error.message);
}

/** A name for the log: it was received, and may be anything. */
export function nameOf(value: unknown, field: string): string {
  const name = isMap(value) ? value[field] : undefined;
  if (typeof name === 'number') return String(name);
  if (typeof name !== 'string') return 'without a name';
  return showControls(name.slice(0, NAME_LIMIT));
}

export function listOf(value: unknown, what: string, faults: Faults): readonly unknown[] {
  if (Array.isArray(value)) return value;
  faults.set(what, 'it is not a list');
  return [];
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
