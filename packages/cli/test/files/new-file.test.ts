import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { until } from '@swarm/sim';
import test from 'ava';
import { UsageError } from '../../src/command.js';
import { writeNewFile } from '../../src/files/new-file.js';
import { command } from '../support/fake-daemon.js';
import { folderOf } from '../support/folder.js';

const saying = (text: string) => async () => Readable.from([Buffer.from(text)]);
const EXISTS = { instanceOf: UsageError, message: /already exists: remove it/ };

test('a file is its owner’s alone, whatever the umask, and alone in its folder', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'backup');
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  let modeWhileWritten = 0;
  const seen = await writeNewFile(path, saying('keys'), async (part) => {
    modeWhileWritten = lstatSync(part).mode & 0o777;
    return readFileSync(part, 'utf8');
  });
  t.is(seen, 'keys');
  t.is(modeWhileWritten, 0o600);
  t.is(lstatSync(path).mode & 0o777, 0o600);
  t.is(readFileSync(path, 'utf8'), 'keys');
  t.deepEqual(readdirSync(folder), ['backup']);
});

test('an existing entry is neither replaced nor followed, not even a dangling link', async (t) => {
  const folder = folderOf(t);
  const target = join(folder, 'target');
  writeFileSync(join(folder, 'file'), 'mine');
  symlinkSync(target, join(folder, 'link'));
  for (const name of ['file', 'link'])
    await t.throwsAsync(
      writeNewFile(
        join(folder, name),
        () => t.fail() as never,
        async () => {},
      ),
      EXISTS,
    );
  t.deepEqual(readdirSync(folder).sort(), ['file', 'link']);
  t.is(readFileSync(join(folder, 'file'), 'utf8'), 'mine');
});

test('an entry that others create meanwhile stays, and is not written through', async (t) => {
  const folder = folderOf(t);
  const target = join(folder, 'target');
  const path = join(folder, 'backup');
  await t.throwsAsync(
    writeNewFile(path, saying('keys'), async () => symlinkSync(target, path)),
    EXISTS,
  );
  t.deepEqual(readdirSync(folder), ['backup']);
  t.true(lstatSync(path).isSymbolicLink());
});

test('a name that could be guessed and is taken does not matter', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'backup');
  symlinkSync(join(folder, 'target'), `${path}.part`);
  await writeNewFile(path, saying('keys'), async () => {});
  t.deepEqual(readdirSync(folder).sort(), ['backup', 'backup.part']);
});

test('an invalid backup leaves no file', async (t) => {
  const folder = folderOf(t);
  const answers = { 'GET /x/backup': Buffer.from('no backup at all, just text') };
  const { code, err } = await command(t, answers, 'backup', join(folder, 'file'));
  t.is(code, 1);
  t.regex(err, /not a backup/);
  t.deepEqual(readdirSync(folder), []);
});

test('an interrupted backup leaves nothing: what was written has the keys of the cluster', async (t) => {
  const folder = folderOf(t);
  const socket = join(folder, 'daemon.sock');
  const written = () => readdirSync(folder).some((name) => name.endsWith('.part'));
  // A backup that begins and does not end.
  const server = createServer((_, response) => {
    response.write('keys');
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.teardown(() => server.close());
  const bin = join(import.meta.dirname, '..', '..', '..', 'bin', 'swarm.js');
  const child = spawn(process.execPath, [
    ...['--', bin, '--host', `unix://${socket}`, 'backup', join(folder, 'saved')],
  ]);
  t.teardown(() => child.kill('SIGKILL'));
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
  });
  await until('the backup has begun', written);
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  t.deepEqual([code, err], [130, 'Interrupted: nothing was saved.\n']);
  t.deepEqual(readdirSync(folder), ['daemon.sock']);
});
