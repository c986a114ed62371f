import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ExecutionContext } from 'ava';
import { folderOf } from './support/folder.js';
import { givenAway, testAsRoot } from './support/owners.js';

const BIN = resolve(import.meta.dirname, '../../bin/swarm.js');

interface Places {
  readonly data: string;
  readonly socket: string;
  readonly engine: string;
}

/** Starts a daemon that must refuse to; what it says, and that it made no socket. */
async function refusal(t: ExecutionContext, change: (folder: string) => Partial<Places>) {
  const folder = folderOf(t, 0o1777);
  const usual = {
    data: join(folder, 'data'),
    socket: join(folder, 'run', 'swarm.sock'),
    engine: join(folder, 'none.sock'),
  };
  const { data, socket, engine } = { ...usual, ...change(folder) };
  const args = ['daemon', '--data-root', data, '--socket', socket, '--engine', `unix://${engine}`];
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((done) => {
    execFile(process.execPath, [BIN, ...args], { timeout: 30_000 }, (error, _, text) =>
      done({ code: error?.code, stderr: text }),
    );
  });
  t.is(code, 1);
  t.notRegex(stderr, /^ {4}at /m, 'no stack');
  t.false(existsSync(socket));
  return stderr;
}

const foreign = (path: string) => givenAway(path, mkdirSync);

testAsRoot(
  'a daemon does not start on what another user may have made, and says what it is',
  async (t) => {
    t.regex(
      await refusal(t, (folder) => ({ data: foreign(join(folder, 'data')) })),
      /data belongs to user \d+.*--data-root/,
    );
    t.regex(
      await refusal(t, (folder) => {
        foreign(join(folder, 'theirs'));
        symlinkSync('theirs', join(folder, 'link'));
        return { data: join(folder, 'link') };
      }),
      /theirs belongs to user \d+.*--data-root/,
    );
    t.regex(
      await refusal(t, (folder) => ({ socket: join(foreign(join(folder, 'run')), 'swarm.sock') })),
      /run belongs to user \d+.*--socket/,
    );
    t.regex(
      await refusal(t, (folder) => ({ engine: join(foreign(join(folder, 'e')), 'docker.sock') })),
      /e belongs to user \d+.*--engine/,
    );
  },
);

testAsRoot(
  'a daemon does not start on a data root in which something is another user’s',
  async (t) => {
    const said = await refusal(t, (folder) => {
      const data = join(folder, 'data');
      mkdirSync(data);
      foreign(join(data, 'certificates'));
      return { data };
    });
    t.regex(said, /certificates belongs to user \d+, not to user 0.*chown -R 0 .*data'/);
  },
);
