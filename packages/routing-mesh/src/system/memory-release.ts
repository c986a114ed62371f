import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock, Timer } from '@swarm/api';
import type { Nft } from '../kernel/nft.js';

/** Longer texts leave much behind: each element was several strings. */
const LONG_CHARS = 256 * 1024;
/** After the last long text: others may follow, and those who wait for this one come first. */
const RELEASE_MS = 1000;
/** V8 returns most pages that a collection emptied only with the next one. */
const RELEASES = 2;

export interface MemoryReleaseOptions {
  readonly clock: Clock;
  /** Gives memory that is not used back to the host. */
  readonly release: () => void;
}

/**
 * A packet filter that gives memory back some time after a long text. A daemon that wrote a table of 25,000 endpoints
 * would otherwise keep twice its size until something else fills its heap, which may be never.
 */
export function releasingMemory(nft: Nft, { clock, release }: MemoryReleaseOptions): Nft {
  let timer: Timer;
  const releaseLater = (times: number): void => {
    clock.clearTimeout(timer);
    timer = clock.setTimeout(() => {
      release();
      if (times > 1) releaseLater(times - 1);
    }, RELEASE_MS);
  };
  return {
    kind: nft.kind,
    async run(text) {
      const isLong = text.length > LONG_CHARS;
      try {
        await nft.run(text);
      } finally {
        if (isLong) releaseLater(RELEASES);
      }
    },
    check: (text) => nft.check(text),
    close() {
      clock.clearTimeout(timer);
      nft.close();
    },
  };
}

let collect: (() => void) | undefined;

/** Collects garbage, then gives free memory of the C library back, where that can be asked for. */
export async function releaseMemory(): Promise<void> {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  const trim = await openTrim();
  trim?.();
}

/** Undefined without koffi, or with a C library other than glibc; see malloc_trim(3). */
async function openTrim(): Promise<(() => void) | undefined> {
  try {
    const { default: koffi } = await import('koffi');
    const trim = koffi.load('libc.so.6').func('int malloc_trim(size_t pad)');
    return () => void trim(0);
  } catch {
    return undefined;
  }
}
