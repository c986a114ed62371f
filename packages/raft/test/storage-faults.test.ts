import { appendFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Database, OpenDatabase } from '../src/storage/database.js';
import { openLevelDatabase } from '../src/storage/database.js';
import {
  StorageFailedError,
  StorageIdentityError,
  StorageLockedError,
  StorageUnreadableError,
} from '../src/storage/errors.js';
import { BOUND_INTERVAL_RECORDS } from '../src/storage/level-storage.js';
import { StorageCorruptError } from '../src/storage/storage.js';
import { NODE_FILES } from '../src/storage/file-system.js';
import { readIdentity, writeIdentity } from '../src/storage/identity-file.js';
import { until } from '../src/contract/until.js';
import { entries, entry, shape, snapshotAt, write } from '../src/contract/sample-log.js';
import {
  databaseFile,
  databaseFiles,
  flipBit,
  Stores,
  size,
  zero,
} from './contract/store-fixture.js';

const RECORDS = 20;
/** Larger than a sector, so that a torn record lacks whole sectors. */
const DATA = 'x'.repeat(2000);

/**
 * A store with one entry per record, as a kill would leave it: everything acknowledged, not closed.
 */
async function killed(stores: Stores, records = RECORDS, data = DATA): Promise<string> {
  const path = stores.newPath();
  const storage = stores.storage(path);
  await storage.open();
  for (let index = 1; index <= records; index++) {
    await storage.persist(write({ entries: [entry(index, 1, data)] }));
  }
  return await stores.copy(path);
}

async function refuses(
  t: ExecutionContext,
  stores: Stores,
  path: string,
  message: RegExp,
): Promise<void> {
  const error = await t.throwsAsync(stores.storage(path).open(), {
    instanceOf: StorageCorruptError,
    message,
  });
  t.regex(error?.message ?? '', /join again: it gets a new member id/);
}

async function count(stores: Stores, path: string): Promise<number> {
  const recovered = await stores.storage(path).open();
  return recovered.entries.length;
}

test('a killed store opens whole', async (t) => {
  await Stores.use(async (stores) => {
    t.is(await count(stores, await killed(stores)), RECORDS);
  });
});

test('a bit flipped anywhere in the write-ahead file is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    const length = await size(await databaseFile(path, '.log'));
    // From the first record's checksum to the last record's last byte, headers included.
    for (let at = 0; at < length; at += Math.floor(length / 23)) {
      const copy = await stores.copy(path);
      await flipBit(await databaseFile(copy, '.log'), at);
      await refuses(t, stores, copy, /\.log: /);
    }
    const last = await stores.copy(path);
    await flipBit(await databaseFile(last, '.log'), -1);
    await refuses(t, stores, last, /\.log: /);
  });
});

test('a damaged store is refused again and its files stay unchanged', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    const file = await databaseFile(path, '.log');
    await flipBit(file, 5000);
    const before = await readFile(file);
    await refuses(t, stores, path, /\.log: /);
    await refuses(t, stores, path, /\.log: /);
    t.deepEqual(await readFile(file), before);
  });
});

test('a flipped length in the last record is not a torn write', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores, 1, 'short');
    const file = await databaseFile(path, '.log');
    const bytes = await readFile(file);
    // The last piece's header: the one whose length reaches the end of the file.
    let offset = 0;
    for (;;) {
      const next = offset + 7 + (bytes[offset + 4]! | (bytes[offset + 5]! << 8));
      if (next >= bytes.length) break;
      offset = next;
    }
    bytes[offset + 5]! |= 0x20;
    await writeFile(file, bytes);
    await refuses(t, stores, path, /the length of a write is wrong/);
  });
});

test('a last record cut off in the middle was never acknowledged, and is dropped', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    const length = await size(await databaseFile(path, '.log'));
    for (const cut of [1, 3, 700, 2000]) {
      const copy = await stores.copy(path);
      await truncate(await databaseFile(copy, '.log'), length - cut);
      const storage = stores.storage(copy);
      t.is((await storage.open()).entries.length, RECORDS - 1, `cut ${cut}`);
      await storage.persist(write({ entries: [entry(RECORDS, 2)] }));
      await storage.close();
      t.is(await count(stores, copy), RECORDS);
    }
  });
});

test('a last record with unwritten sectors was never acknowledged, and is dropped', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    const file = await databaseFile(path, '.log');
    const length = await size(file);
    await zero(file, Math.ceil((length - 1900) / 512) * 512, length);
    t.is(await count(stores, path), RECORDS - 1);
    const again = await stores.copy(path);
    t.is(await count(stores, again), RECORDS - 1);
  });
});

test('unwritten space at the end of the file is not damage', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await appendFile(await databaseFile(path, '.log'), new Uint8Array(8192));
    t.is(await count(stores, path), RECORDS);
  });
});

test('unwritten sectors with acknowledged records after them are damage', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await zero(await databaseFile(path, '.log'), 5120, 6144);
    await refuses(t, stores, path, /with later records after it/);
  });
});

test('any sector of the write-ahead file that reads as zeros is detected, or was never acknowledged', async (t) => {
  await Stores.use(async (stores) => {
    // Smaller than a sector, so that a sector holds headers, and everything in one block.
    const path = await killed(stores, 60, 'short');
    const length = await size(await databaseFile(path, '.log'));
    const recordBytes = Math.ceil(length / 60);
    for (let at = 0; at < length; at += 512) {
      const copy = await stores.copy(path);
      await zero(await databaseFile(copy, '.log'), at, Math.min(at + 512, length));
      const opened = await count(stores, copy).catch((error: unknown) => error);
      if (typeof opened === 'number') {
        // With no intact record after it, it looks like a write that a crash interrupted.
        const rest = length - at - 512;
        t.true(rest < recordBytes, `opens with ${opened} records without the sector at ${at}`);
      } else t.true(opened instanceof StorageCorruptError, String(opened));
    }
  });
});

test('a deleted write-ahead file is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await rm(await databaseFile(path, '.log'));
    await refuses(t, stores, path, /write-ahead file is missing/);
  });
});

test('an emptied write-ahead file is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await truncate(await databaseFile(path, '.log'), 0);
    await refuses(t, stores, path, /opened 0 times/);
  });
});

test('a database restored from an old copy is detected', async (t) => {
  await Stores.use(async (stores) => {
    const old = await killed(stores);
    const path = await stores.copy(old);
    await stores.storage(path).open();
    const newer = await stores.copy(path);
    await writeFile(join(old, 'identity'), await readFile(join(newer, 'identity')));
    await refuses(t, stores, old, /old copy/);
  });
});

test('a tail lost below the bound of the identity file is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const storage = stores.storage(path);
    await storage.open();
    await storage.persist(write({ entries: entries(1, 3, 1) }));
    await storage.persist(write({ entries: entries(4, 5, 1) }));
    const length = await size(await databaseFile(path, '.log'));
    await storage.persist(write({ entries: entries(6, 7, 1) }));
    await storage.close();
    await truncate(await databaseFile(path, '.log'), length);
    await refuses(t, stores, path, /the last record is 2, but 3 was durable/);
    // LevelDB has tidied up by now: only the note in the identity file remembers.
    await refuses(t, stores, path, /the last record is 2, but 3 was durable/);
  });
});

test('the bound in the identity file rises while the store is open', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    // Syncing is not the subject here, and a thousand syncs take long.
    const openDatabase: OpenDatabase = async (folder, options) => {
      const database = await openLevelDatabase(folder, options);
      return { ...database, write: (operations) => database.write(operations, { sync: false }) };
    };
    const storage = stores.storage(path, { openDatabase });
    await storage.open();
    for (let index = 1; index <= BOUND_INTERVAL_RECORDS; index++) {
      await storage.persist(write({ entries: [entry(index, 1)] }));
    }
    let bound = 0;
    await until('the bound is written', () => {
      void readIdentity(join(path, 'identity')).then((identity) => {
        bound = identity?.durableSequence ?? 0;
      });
      return bound > 0;
    });
    t.is(bound, BOUND_INTERVAL_RECORDS);
  });
});

test('a damaged catalogue of the database is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await inTable(stores);
    const names = (await databaseFiles(path, '')).filter((name) => name.includes('MANIFEST'));
    t.is(names.length, 1);
    const length = await size(names[0]!);
    for (const at of [3, 20, length - 1]) {
      const copy = await stores.copy(path);
      const file = (await databaseFiles(copy, '')).find((name) => name.includes('MANIFEST'));
      await flipBit(file!, at);
      await refuses(t, stores, copy, /./);
    }
    const unnamed = await stores.copy(path);
    await rm(join(unnamed, 'log', 'CURRENT'));
    await refuses(t, stores, unnamed, /database is missing/);
    await writeFile(join(path, 'log', 'CURRENT'), 'MANIFEST-999999\n');
    await refuses(t, stores, path, /LevelDB cannot open it/);
  });
});

test('a database deleted beside its identity file is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await rm(join(path, 'log'), { recursive: true });
    await refuses(t, stores, path, /database is missing/);
  });
});

test('an identity file deleted beside its database is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await rm(join(path, 'identity'));
    await refuses(t, stores, path, /identity file beside the database is missing/);
  });
});

test('a damaged identity file is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await flipBit(join(path, 'identity'), 20);
    await refuses(t, stores, path, /identity is damaged/);
  });
});

test("another member's store is refused and stays usable", async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    await t.throwsAsync(stores.storage(path, { memberId: 2 }).open(), {
      instanceOf: StorageIdentityError,
      message: /member 1 of cluster cluster, not of member 2/,
    });
    await t.throwsAsync(stores.storage(path, { clusterId: 'other' }).open(), {
      instanceOf: StorageIdentityError,
    });
    t.is(await count(stores, path), RECORDS);
  });
});

/** A store whose records LevelDB has moved to a table. */
async function inTable(stores: Stores): Promise<string> {
  const path = await killed(stores);
  await stores.storage(path).open();
  const copy = await stores.copy(path);
  await databaseFile(copy, '.ldb');
  return copy;
}

test('a bit flipped in a table is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await inTable(stores);
    const length = await size(await databaseFile(path, '.ldb'));
    for (const share of [0.1, 0.35, 0.5, 0.9]) {
      const copy = await stores.copy(path);
      await flipBit(await databaseFile(copy, '.ldb'), Math.floor(length * share));
      await refuses(t, stores, copy, /record \d+: the checksum does not match/);
      await refuses(t, stores, copy, /record \d+: the checksum does not match/);
    }
  });
});

test('a deleted or truncated table is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await inTable(stores);
    const copy = await stores.copy(path);
    await rm(await databaseFile(copy, '.ldb'));
    await refuses(t, stores, copy, /missing files/);
    await truncate(await databaseFile(path, '.ldb'), 10_000);
    await refuses(t, stores, path, /./);
  });
});

test('a record missing in the middle is detected', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    const database = await openLevelDatabase(join(path, 'log'), {
      createIfMissing: false,
      writeBufferBytes: 1 << 20,
    });
    await database.write([[Buffer.from('770000000000000007', 'hex')]], { sync: true });
    await database.close();
    await refuses(t, stores, path, /records 7 to 7 are missing, 8 is there/);
  });
});

test('a store that is open elsewhere is refused as locked', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const storage = stores.storage(path);
    await storage.open();
    await t.throwsAsync(stores.storage(path).open(), {
      instanceOf: StorageLockedError,
      message: /in use/,
    });
    await storage.persist(write({ entries: entries(1, 2, 1) }));
    await storage.close();
    t.is(await count(stores, path), 2);
  });
});

/** LevelDB on a disk with only this many writes left. */
function failingAfter(writes: number): OpenDatabase {
  return async (folder, options): Promise<Database> => {
    const database = await openLevelDatabase(folder, options);
    let left = writes;
    return {
      ...database,
      write: async (operations, how) => {
        if (left-- <= 0) throw new Error('IO error: No space left on device');
        await database.write(operations, how);
      },
    };
  };
}

test('a failed write is final: later calls fail at once, and nothing acknowledged is lost', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const storage = stores.storage(path, { openDatabase: failingAfter(3) });
    await storage.open();
    await storage.persist(write({ entries: entries(1, 2, 1) }));
    await storage.persist(write({ entries: entries(3, 4, 1) }));
    const failed = { instanceOf: StorageFailedError, message: /No space left on device/ };
    await t.throwsAsync(storage.persist(write({ entries: entries(5, 6, 1) })), failed);
    await t.throwsAsync(storage.persist(write({ entries: entries(5, 6, 1) })), failed);
    await t.throwsAsync(storage.compact(snapshotAt(2, 1)), failed);
    await storage.close();
    t.is(shape(await stores.storage(path).open()), '1/1 2/1 3/1 4/1');
  });
});

test('a failed deletion in the background stops the log too', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const storage = stores.storage(path, { openDatabase: failingAfter(4) });
    await storage.open();
    await storage.persist(write({ entries: entries(1, 2, 1) }));
    await storage.persist(write({ entries: entries(3, 4, 1) }));
    await storage.compact(snapshotAt(3, 1));
    await new Promise(setImmediate);
    await t.throwsAsync(storage.persist(write({ entries: entries(5, 5, 1) })), {
      instanceOf: StorageFailedError,
    });
  });
});

test('compacted records are deleted, including those that a stop left over', async (t) => {
  await Stores.use(async (stores) => {
    const path = await killed(stores);
    const storage = stores.storage(path);
    await storage.open();
    await storage.compact(snapshotAt(15, 1));
    const early = await stores.copy(path);
    await storage.close();
    for (const place of [path, early]) {
      const again = stores.storage(place);
      t.is((await again.open()).firstIndex, 16);
      await again.close();
      const database = await openLevelDatabase(join(place, 'log'), {
        createIfMissing: false,
        writeBufferBytes: 1 << 20,
      });
      const keys: string[] = [];
      for await (const [key] of database.read(Uint8Array.of(0x77), Uint8Array.of(0x78))) {
        keys.push(Buffer.from(key).toString('hex'));
      }
      await database.close();
      t.is(keys.length, 5);
      t.is(keys[0], '770000000000000010');
    }
  });
});

test('sealed records cannot be read without the key, and are not called damaged', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const cipher = (key: number) => ({
      seal: (bytes: Uint8Array) => Uint8Array.from([key, ...bytes.map((byte) => byte ^ key)]),
      open: (bytes: Uint8Array) => {
        if (bytes[0] !== key) throw new Error('wrong key');
        return bytes.subarray(1).map((byte) => byte ^ key);
      },
    });
    const storage = stores.storage(path, { cipher: cipher(7) });
    await storage.open();
    await storage.persist(write({ entries: [entry(1, 1, 'a secret, in the open')] }));
    await storage.compact(snapshotAt(0, 0));
    await storage.close();
    const raw = await readFile((await databaseFiles(path, '.log'))[0]!);
    t.false(raw.includes('a secret, in the open'));
    await t.throwsAsync(stores.storage(path, { cipher: cipher(8) }).open(), {
      instanceOf: StorageUnreadableError,
      message: /is the key the right one/,
    });
    t.is(shape(await stores.storage(path, { cipher: cipher(7) }).open()), '1/1');
  });
});

test('after a write that failed half-way nothing is appended, even if there is space again', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    let writes = 0;
    let failing = false;
    const openDatabase: OpenDatabase = async (folder, options) => {
      const database = await openLevelDatabase(folder, options);
      return {
        ...database,
        write: async (operations, how) => {
          writes++;
          if (failing) {
            failing = false;
            throw new Error('IO error: No space left on device');
          }
          await database.write(operations, how);
        },
      };
    };
    const storage = stores.storage(path, { openDatabase });
    await storage.open();
    for (let index = 1; index <= 600; index++) {
      await storage.persist(write({ entries: [entry(index, 1)] }));
    }
    // Compacted records are deleted in the background, in several writes.
    await storage.compact(snapshotAt(599, 1));
    failing = true;
    const before = writes;
    await t.throwsAsync(storage.persist(write({ entries: [entry(601, 1)] })));
    await storage.close();
    t.true(writes - before <= 1, `${writes - before} writes`);
    t.is(shape(await stores.storage(path).open()), '600/1');
  });
});

test('a store whose first opening was interrupted is made again', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const storage = stores.storage(path);
    await storage.open();
    await storage.close();
    // As a power cut leaves it before LevelDB has synced anything. LevelDB calls that corruption.
    const names = await databaseFiles(path, '');
    await truncate(names.find((name) => name.includes('MANIFEST'))!, 0);
    await refuses(t, stores, path, /LevelDB cannot open it/);
    const identity = { clusterId: 'cluster', memberId: 1, incarnation: 0, durableSequence: 0 };
    await writeIdentity(join(path, 'identity'), identity, NODE_FILES);
    const again = stores.storage(path);
    t.is((await again.open()).entries.length, 0);
    await again.persist(write({ entries: entries(1, 2, 1) }));
    await again.close();
    t.is(await count(stores, path), 2);
  });
});
