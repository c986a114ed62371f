import test from 'ava';
import { type FolderStatus, labsFolder } from './state.js';

const folder = (uid: number, mode = 0o40755): FolderStatus => ({
  isDirectory: () => true,
  uid,
  mode,
});

test('each user has a folder of labs of their own', (t) => {
  const nothing = (): undefined => undefined;
  t.is(labsFolder({}, 0, nothing), '/tmp/swarm-lab');
  t.is(labsFolder({}, 1000, nothing), '/tmp/swarm-lab-1000');
  // Root has been here before.
  const roots = (path: string) => (path === '/tmp/swarm-lab' ? folder(0) : undefined);
  t.is(labsFolder({}, 1000, roots), '/tmp/swarm-lab-1000');
  t.is(labsFolder({ SWARM_LAB_DIR: '/srv/lab' }, 1000, roots), '/srv/lab');
});

test('a folder that another user made or may change is refused, with what to do', (t) => {
  const message = '/tmp/swarm-lab-1000 is not yours alone: remove it, or set SWARM_LAB_DIR';
  t.throws(() => labsFolder({}, 1000, () => folder(1001)), { message });
  t.throws(() => labsFolder({}, 1000, () => folder(1000, 0o40777)), { message });
  t.throws(() => labsFolder({}, 1000, () => ({ ...folder(1000), isDirectory: () => false })), {
    message,
  });
  t.is(
    labsFolder({}, 1000, () => folder(1000)),
    '/tmp/swarm-lab-1000',
  );
});
