import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../bench/raft/child.js';
import type { AttackerNews, AttackerStart, HoardOrder } from './attacker-protocol.js';

const PROGRAM = join(import.meta.dirname, 'attacker.js');
const POLL_MS = 100;
const HOARD: HoardOrder = { connections: 1_100, slowBodies: 80 };
const HOARD_MS = 4_000;
/** An attacker that does not finish has not got an answer. */
const END_LIMIT_MS = 60_000;

export interface SiegeOptions {
  readonly start: AttackerStart;
  /** Whether to hold as many connections as possible during the attack. */
  readonly hoards: boolean;
  /** Called now and then: whether to stop. */
  readonly isOver: () => boolean;
  readonly onNews: (news: AttackerNews) => void;
}

/** One attacker with one seed, in its own process. */
export class Siege {
  readonly #options: SiegeOptions;
  readonly #child: Child;
  #news: AttackerNews | undefined;

  constructor(options: SiegeOptions) {
    this.#options = options;
    this.#child = new Child(PROGRAM, {
      onTold: (told) => {
        this.#news = told as AttackerNews;
        options.onNews(this.#news);
      },
    });
  }

  /** Runs until everything is sent, or `isOver`. @throws when the attacker does not finish */
  async run(): Promise<void> {
    const { start, isOver, hoards } = this.#options;
    await this.#child.call('start', start);
    let mayHoard = hoards;
    while (this.#news?.isDone !== true && !isOver()) {
      await delay(POLL_MS);
      if (!mayHoard || (this.#news?.messages ?? 0) < start.messages / 2) continue;
      mayHoard = false;
      await this.#hoard();
    }
    await this.#child.call('stop');
    const endMs = performance.now() + END_LIMIT_MS;
    while (this.#news?.isDone !== true) {
      if (performance.now() > endMs) throw new Error('the attacker did not finish');
      await delay(POLL_MS);
    }
  }

  async kill(): Promise<void> {
    await this.#child.kill();
  }

  killNow(): void {
    this.#child.signal('SIGKILL');
  }

  async #hoard(): Promise<void> {
    await this.#child.call('hoard', HOARD);
    await delay(HOARD_MS);
    await this.#child.call('release');
  }
}
