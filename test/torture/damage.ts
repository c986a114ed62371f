import { open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Prng } from '@swarm/sim';

export type DamageKind = 'delete' | 'truncate' | 'flip';

/**
 * Damages one file below a folder, any of them.
 * @returns what was done: `identity deleted`, `log/000005.log cut from 4711 to 815 bytes`
 */
export async function damageFile(folder: string, kind: DamageKind, prng: Prng): Promise<string> {
  const files = await filesIn(folder);
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const choice = files.map((file, i) => ({ file, size: sizes[i]! }));
  // An empty file, such as LevelDB's lock, has nothing to cut off or flip.
  const { file, size } = prng.pick(choice.filter((each) => kind === 'delete' || each.size > 0));
  const name = relative(folder, file);
  switch (kind) {
    case 'delete':
      await rm(file);
      return `${name} deleted`;
    case 'truncate': {
      const left = prng.below(size);
      await truncate(file, left);
      return `${name} cut from ${size} to ${left} bytes`;
    }
    case 'flip': {
      const [at, bit] = [prng.below(size), prng.below(8)];
      await flipBit(file, at, bit);
      return `bit ${bit} of byte ${at} of ${size} of ${name} flipped`;
    }
  }
}

async function flipBit(path: string, at: number, bit: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte[0]! ^= 1 << bit;
    await file.write(byte, 0, 1, at);
  } finally {
    await file.close();
  }
}

/** Lists files by name, so that the same choice selects the same kind of file. */
async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { withFileTypes: true, recursive: true });
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
