import {
  type Bytes,
  CURRENT,
  hidesAsTorn,
  keyBytes,
  keyText,
  type Names,
  type Prng,
  type SimFiles,
  type Table,
} from '@swarm/sim';
import {
  DATABASE_PATH,
  databaseFile,
  databaseNames,
  IDENTITY_PATH,
  logNames,
  looksWhole,
  manifestOf,
} from './store-files.js';

/** Deliberate damage to a disk. */
export interface Damage {
  /** Whether the package's README lists damage of this kind as undetected. */
  readonly unnoticed: boolean;
}

/** Damages one file of a store that no process has open. @returns undefined when no file can be damaged */
export function flipSomeBit(files: SimFiles, prng: Prng): Damage | undefined {
  files.root.settle();
  const names = databaseNames(files);
  const choices: (() => Damage)[] = [];
  const offer = (weight: number, damage: () => Damage): void => {
    for (let i = 0; i < weight; i++) choices.push(damage);
  };
  for (const name of logNames(files)) {
    const file = databaseFile(files, name)!;
    if (file.length > 0) offer(6, () => flipInLog(file, prng));
  }
  for (const name of names.filter((each) => each.endsWith('.ldb'))) {
    const table = files.find(`${DATABASE_PATH}/${name}`) as Table;
    if (table.items.length === 0) continue;
    offer(3, () => {
      flipInTable(table, prng);
      return { unnoticed: looksWhole(files) };
    });
  }
  const manifest = manifestOf(files);
  if (manifest !== undefined) {
    offer(1, () => {
      manifest.unreadable = true;
      return { unnoticed: false };
    });
  }
  for (const file of [databaseFile(files, CURRENT), files.bytes(IDENTITY_PATH)]) {
    if (file === undefined) continue;
    offer(1, () => {
      file.flip(prng.below(file.length), prng.below(8));
      return { unnoticed: false };
    });
  }
  return choices.length === 0 ? undefined : prng.pick(choices)();
}

function flipInLog(file: Bytes, prng: Prng): Damage {
  const offset = prng.below(file.length);
  const unnoticed = hidesAsTorn(file.bytes, offset);
  file.flip(offset, prng.below(8));
  return { unnoticed };
}

function flipInTable(table: Table, prng: Prng): void {
  const at = prng.below(table.items.length);
  const [key, value] = table.items[at]!;
  if (value === undefined || value.length === 0 || prng.below(4) === 0) {
    table.items[at] = [keyText(flipped(keyBytes(key), prng)), value];
  } else {
    table.items[at] = [key, flipped(value, prng)];
  }
}

function flipped(bytes: Uint8Array, prng: Prng): Uint8Array {
  const copy = bytes.slice();
  copy[prng.below(copy.length)]! ^= 1 << prng.below(8);
  return copy;
}

/** Removes files of a store, or restores old ones. @returns undefined when no file qualifies */
export function loseSomeFiles(
  files: SimFiles,
  prng: Prng,
  oldCopy: Names | undefined,
): Damage | undefined {
  files.root.settle();
  const names = databaseNames(files);
  const choices: (() => void)[] = [];
  const remove = (path: string): void => {
    choices.push(() => files.place(path, undefined));
  };
  for (const name of logNames(files)) {
    remove(`${DATABASE_PATH}/${name}`);
    choices.push(() => databaseFile(files, name)!.empty());
  }
  const table = names.find((name) => name.endsWith('.ldb'));
  if (table !== undefined) remove(`${DATABASE_PATH}/${table}`);
  if (names.includes(CURRENT)) remove(`${DATABASE_PATH}/${CURRENT}`);
  if (names.length > 0) remove(DATABASE_PATH);
  if (files.bytes(IDENTITY_PATH) !== undefined) remove(IDENTITY_PATH);
  if (oldCopy !== undefined) {
    choices.push(() => files.place(DATABASE_PATH, oldCopy.copy()));
  }
  if (choices.length === 0) return undefined;
  prng.pick(choices)();
  return { unnoticed: looksWhole(files) };
}
