import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TASK_UIDS } from '@swarm/api';
import type { Accounts } from './host-user.js';
import { errnoOf, RuntimeError } from '../runtime-error.js';

/** Draws before giving up; with 47 million numbers, needing more than a few means that something else is wrong. */
const DRAWS_LIMIT = 100;
/** Below `/run`: claims end with the boot, as the processes do. */
const CLAIMS_FOLDER = '/run/swarm-uids';

/**
 * Users of tasks that ask for none: each task gets a number that no account, container range or other task
 * of this host has. Draws numbers instead of counting, so that one that left files behind does not return; a
 * claim file for each keeps several daemons on one host apart.
 */
export class TaskUids {
  readonly #random: () => number;
  readonly #folder: string;

  /**
   * @param random 0 ≤ x < 1
   * @param folder of the claims, which all daemons of the host share
   */
  constructor(random: () => number, folder = CLAIMS_FOLDER) {
    this.#random = random;
    this.#folder = folder;
  }

  /**
   * Draws a number of {@link TASK_UIDS} for one task, as its user and group, until it is released.
   * @throws RuntimeError `failed` when it finds none
   */
  take(accounts: Accounts): number {
    const isTaken = takenBy(accounts);
    for (let draw = 0; draw < DRAWS_LIMIT; draw += 1) {
      const size = TASK_UIDS.last - TASK_UIDS.first + 1;
      const uid = TASK_UIDS.first + Math.floor(this.#random() * size);
      if (!isTaken(uid) && this.#claim(uid)) return uid;
    }
    throw new RuntimeError(
      'failed',
      `Found no free user number for the task between ${TASK_UIDS.first} and ${TASK_UIDS.last}: check who uses them in /etc/passwd, /etc/subuid and ${this.#folder}.`,
    );
  }

  /** Claims the number of a task that an earlier daemon left, perhaps before a reboot. */
  keep(uid: number): void {
    this.#claim(uid);
  }

  release(uid: number): void {
    rmSync(join(this.#folder, String(uid)), { force: true });
  }

  #claim(uid: number): boolean {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(join(this.#folder, String(uid)), '', { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
  }
}

/** Whether an account, a group or a range for containers has the id. Does not parse every line. */
function takenBy({ passwd, group, subuid, subgid }: Accounts): (id: number) => boolean {
  const ranges = [...subordinate(subuid), ...subordinate(subgid)];
  return (id) =>
    // The third field of passwd(5) and group(5); a match in another field does no harm.
    passwd.includes(`:${id}:`) ||
    group.includes(`:${id}:`) ||
    ranges.some(([first, count]) => id >= first && id < first + count);
}

/** First id and count of subuid(5) and subgid(5). */
function subordinate(text: string): [number, number][] {
  return text.split('\n').map((line) => {
    const [, first, count] = line.split(':');
    return [Number(first ?? Number.NaN), Number(count ?? Number.NaN)];
  });
}
