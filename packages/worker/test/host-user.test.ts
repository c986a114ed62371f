import test from 'ava';
import { resolveUser } from '../src/runtime/process/host-user.js';

const ACCOUNTS = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv/web:/bin/sh\n',
  group: 'root:x:0:\nwebgroup:x:34:\nlogs:x:50:web,other\nextra:x:60:\n',
  subuid: '',
  subgid: '',
};
const resolve = (user: string, groups: string[] = []) =>
  resolveUser(user, groups, ACCOUNTS, 'root');

test('A name brings its group, its other groups and its home', (t) => {
  t.deepEqual(resolve('web'), {
    uid: 33,
    gid: 34,
    groups: [50],
    home: '/srv/web',
  });
});

test('A number need not exist', (t) => {
  t.deepEqual(resolve('4000:4001'), {
    uid: 4000,
    gid: 4001,
    groups: [],
    home: '/tmp',
  });
  t.like(resolve('4000'), { uid: 4000, gid: 4000 });
  t.like(resolve('33'), { uid: 33, gid: 34, groups: [50] });
});

test('A group that is given replaces the others, extra groups are added', (t) => {
  t.like(resolve('web:extra', ['logs', '77']), { gid: 60, groups: [50, 77] });
});

test('A name that does not exist is refused with its field', (t) => {
  t.throws(() => resolve('nobody'), { message: /ContainerSpec\.User.*"nobody"/ });
  t.throws(() => resolve('web:none'), { message: /group "none"/ });
  t.throws(() => resolve('web', ['none']), { message: /ContainerSpec\.Groups/ });
});

test('Groups of the system come along only where the policy covers them', (t) => {
  const accounts = {
    ...ACCOUNTS,
    passwd: 'ann:x:1001:1001::/home/ann:/bin/sh\nbob:x:1002:27::/home/bob:/bin/sh\n',
    group: 'sudo:x:27:ann\ndocker:x:998:ann\nann:x:1001:\nteam:x:1100:ann\n',
  };
  t.like(resolveUser('ann', [], accounts, 'capabilities'), { gid: 1001, groups: [1100] });
  t.like(resolveUser('ann', [], accounts, 'root'), { gid: 1001, groups: [27, 998, 1100] });
  t.throws(() => resolveUser('bob', [], accounts, 'capabilities'), {
    message: /ContainerSpec\.User asks for the group "27".*--host-privileges root'/,
  });
  t.is(resolveUser('bob:team', [], accounts, 'capabilities').gid, 1100);
  t.is(resolveUser('bob', [], accounts, 'root').gid, 27);
});
