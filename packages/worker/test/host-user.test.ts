import test from 'ava';
import { resolveUser } from '../src/runtime/process/host-user.js';

const ACCOUNTS = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv/web:/bin/sh\n',
  group: 'root:x:0:\nwebgroup:x:34:\nlogs:x:50:web,other\nextra:x:60:\n',
};

test('A name brings its group, its other groups and its home', (t) => {
  t.deepEqual(resolveUser('web', [], ACCOUNTS), {
    uid: 33,
    gid: 34,
    groups: [50],
    home: '/srv/web',
  });
});

test('A number need not exist', (t) => {
  t.deepEqual(resolveUser('4000:4001', [], ACCOUNTS), {
    uid: 4000,
    gid: 4001,
    groups: [],
    home: '/',
  });
  t.like(resolveUser('4000', [], ACCOUNTS), { uid: 4000, gid: 0 });
  t.like(resolveUser('33', [], ACCOUNTS), { uid: 33, gid: 34, groups: [50] });
});

test('A group that is given replaces the others, extra groups are added', (t) => {
  t.like(resolveUser('web:extra', ['logs', '77'], ACCOUNTS), { gid: 60, groups: [50, 77] });
});

test('A name that does not exist is refused with its field', (t) => {
  t.throws(() => resolveUser('nobody', [], ACCOUNTS), { message: /ContainerSpec\.User.*"nobody"/ });
  t.throws(() => resolveUser('web:none', [], ACCOUNTS), { message: /group "none"/ });
  t.throws(() => resolveUser('web', ['none'], ACCOUNTS), { message: /ContainerSpec\.Groups/ });
});
