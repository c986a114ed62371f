import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { checkPlace, UsageError } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { ApiClient } from '../../src/client/api-client.js';
import { checkPrivateFolder } from '../../src/files/private-folder.js';
import { givenAway, OURS, testAsRoot } from '../support/owners.js';
import { folderOf, modeOf } from '../support/folder.js';

const ADVICE = 'take another';

const refused = (t: ExecutionContext, path: string, message: RegExp) =>
  t.throws(() => checkPlace(path, OURS, ADVICE), { instanceOf: UsageError, message });

testAsRoot('files of another user in a folder that everybody writes to are not used', (t) => {
  const shared = folderOf(t, 0o1777);
  const squatted = givenAway(join(shared, 'swarm'), mkdirSync);
  refused(
    t,
    join(squatted, 'swarm.sock'),
    /swarm belongs to user \d+, and everybody may make files in .*: take another/,
  );
  const own = join(shared, 'own');
  mkdirSync(own);
  t.notThrows(() => checkPlace(join(own, 'not-there-yet'), OURS, ADVICE));
});

testAsRoot(
  'nor is a link of another user’s to it, nor a link of ours to what another user made',
  (t) => {
    const shared = folderOf(t, 0o1777);
    const target = folderOf(t);
    const link = givenAway(join(shared, 'link'), (path) => symlinkSync(target, path));
    refused(t, join(link, 'file'), /link belongs to user/);
    const squatted = givenAway(join(shared, 'squatted'), mkdirSync);
    const ours = join(folderOf(t), 'ours');
    symlinkSync(squatted, ours);
    refused(t, join(ours, 'file'), /squatted belongs to user/);
    const relative = join(folderOf(t), 'relative');
    symlinkSync(`../${shared.split('/').at(-1)}/squatted`, relative);
    refused(t, join(relative, 'file'), /squatted belongs to user/);
  },
);

test('where anybody can exchange files nothing is used', (t) => {
  const open = folderOf(t, 0o777);
  refused(
    t,
    join(open, 'own'),
    /may be written by everybody \(mode 0777\), so anybody can exchange/,
  );
  const group = folderOf(t, 0o770);
  t.notThrows(() => checkPlace(join(group, 'own'), OURS, ADVICE));
});

test('a circle of links is an error', (t) => {
  const folder = folderOf(t);
  symlinkSync('b', join(folder, 'a'));
  symlinkSync('a', join(folder, 'b'));
  refused(t, join(folder, 'a', 'file'), /loop of symbolic links/);
});

test('a private folder is checked without being changed', (t) => {
  const folder = folderOf(t);
  t.false(checkPrivateFolder(join(folder, 'none'), OURS, ADVICE));
  t.true(checkPrivateFolder(folder, OURS, ADVICE));
  const file = join(folder, 'file');
  writeFileSync(file, '');
  symlinkSync(folder, join(folder, 'link'));
  for (const path of [file, join(folder, 'link')])
    t.throws(() => checkPrivateFolder(path, OURS, ADVICE), { message: /is not a folder/ });
  chmodSync(folder, 0o711);
  t.throws(() => checkPrivateFolder(folder, OURS, ADVICE), {
    message: /others may use .*0711.*chmod 700/,
  });
  t.is(modeOf(folder), 0o711);
  chmodSync(folder, 0o700);
  t.throws(() => checkPrivateFolder(folder, OURS + 1, ADVICE), { message: /belongs to/ });
});

testAsRoot('a socket that another user put in place gets no connection', async (t) => {
  const runtime = folderOf(t, 0o1777);
  const squatted = givenAway(join(runtime, 'swarm'), (path) => mkdirSync(path, { mode: 0o755 }));
  const socketPath = join(squatted, 'swarm.sock');
  let connections = 0;
  const server = createServer((_, response) => response.end('{}'));
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => server.close());
  const clients = {
    'in a shared folder': new ApiClient({ socketPath }, { uid: OURS }),
    'where our own would be': new ApiClient({ socketPath, privateFolder: squatted }, { uid: OURS }),
  };
  for (const [place, client] of Object.entries(clients)) {
    await t.throwsAsync(
      client.post('/swarm/join', {}, { JoinToken: 'secret' }),
      { instanceOf: UsageError, message: /belongs to .*XDG_RUNTIME_DIR.*--host/ },
      place,
    );
    await t.throwsAsync(client.ping(), { instanceOf: UsageError }, place);
  }
  t.is(connections, 0);
  t.true(existsSync(socketPath));
});
