import { ApiError, type Logger, showControls } from '@swarm/api';
import type { StoreEvent } from './store/store.js';

/** Objects remembered so that each fault is logged once. The oldest is forgotten first. */
const REMEMBERED_LIMIT = 1_000;
/** Most characters of a fault to show. */
const REASON_LIMIT = 200;

/** A unit of work: an object, or anything with an id and perhaps a version. */
export interface Unit {
  readonly ID: string;
  readonly Version?: { readonly Index: number };
}

/**
 * Keeps a loop going when work on one object fails unexpectedly: logs the object once per version, sets it
 * aside, and lets the loop serve the others. Expected errors pass through: a conflict, a lost quorum, a
 * refused argument (any ApiError other than INTERNAL).
 */
export class SetAside {
  readonly #logger: Logger;
  readonly #named = new Map<string, number>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Works on one object.
   * @param otherwise makes the result when that fails; takes the reason in words for the user
   */
  guard<T>(kind: string, unit: Unit, work: () => T, otherwise: (reason: string) => T): T {
    try {
      return work();
    } catch (error) {
      return otherwise(this.note(kind, unit, error));
    }
  }

  /** As `guard`, for work without a result. */
  attempt(kind: string, unit: Unit, work: () => void): void {
    this.guard(kind, unit, work, () => {});
  }

  /** Works on events one by one. A fault in one object's event does not stop the others. */
  events(events: readonly StoreEvent[], work: (event: StoreEvent) => void): void {
    for (const event of events) this.attempt(event.kind, event.object, () => work(event));
  }

  /**
   * Logs a unit whose work failed.
   * @returns the reason
   * @throws the error itself when it is an expected one
   */
  note(kind: string, unit: Unit, error: unknown): string {
    if (!isFault(error)) throw error;
    const reason = reasonOf(error);
    const key = `${kind}/${unit.ID}`;
    const version = unit.Version?.Index ?? 0;
    if (this.#named.get(key) === version) return reason;
    this.#named.delete(key);
    this.#named.set(key, version);
    if (this.#named.size > REMEMBERED_LIMIT) {
      const [oldest] = this.#named.keys();
      this.#named.delete(oldest!);
    }
    const fields = { kind, id: unit.ID, version, err: error };
    this.#logger.error(fields, 'work on an object failed, the object is set aside');
    return reason;
  }
}

/** Whether the error is a fault in our code or in the stored data, not an answer to a caller. */
function isFault(error: unknown): boolean {
  if (error instanceof ApiError) return error.code === 'INTERNAL';
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  // Errors of Raft and of the writers mean something to the caller.
  return !(typeof code === 'string' && /^(RAFT|WRITER)_/.test(code));
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return showControls(text).slice(0, REASON_LIMIT);
}
