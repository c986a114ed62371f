import test from 'ava';
import type { ContainerSpec } from '../src/objects/service.js';
import {
  checkHostPrivileges,
  privilegeNeeds,
  SERVICE_UIDS,
  TASK_UIDS,
} from '../src/validate/host-privileges.js';

function need(container: Partial<ContainerSpec>): string {
  const needs = privilegeNeeds({ Image: 'host', ...container });
  if (needs.some(({ level }) => level === 'root')) return 'root';
  return needs.length > 0 ? 'capabilities' : 'none';
}

test('users and groups: those of the range for services need no policy, those of the system need root', (t) => {
  for (const [name, level] of [
    ['', 'none'],
    [String(SERVICE_UIDS.first), 'none'],
    [String(SERVICE_UIDS.last), 'none'],
    [String(SERVICE_UIDS.first - 1), 'capabilities'],
    [String(SERVICE_UIDS.last + 1), 'capabilities'],
    ['0', 'root'],
    ['00', 'root'],
    ['root', 'root'],
    ['999', 'root'],
    ['1000', 'capabilities'],
    ['nobody', 'capabilities'],
    [String(TASK_UIDS.first), 'root'],
    [String(TASK_UIDS.last), 'root'],
    [String(2 ** 32), 'root'],
    ['99999999999999999999', 'root'],
  ] as const) {
    t.is(need({ User: name }), level, name);
    t.is(need({ User: `:${name}` }), level, `:${name}`);
    t.is(need({ Groups: name === '' ? [] : [name] }), level, `group ${name}`);
  }
  t.is(need({ User: `${SERVICE_UIDS.first}:root` }), 'root');
});

test('capabilities: a few are mild; all others lead to root, those of later kernels too', (t) => {
  for (const name of ['CAP_NET_RAW', 'NET_RAW', 'net_raw', 'cap_kill', 'NET_BIND_SERVICE'])
    t.is(need({ CapabilityAdd: [name] }), 'capabilities', name);
  for (const name of ['ALL', 'all', 'CAP_ALL', 'CAP_SYS_ADMIN', 'CHOWN', 'SETUID', 'CAP_FUTURE'])
    t.is(need({ CapabilityAdd: ['NET_RAW', name] }), 'root', name);
  t.is(need({ CapabilityDrop: ['ALL'] }), 'none');
});

test('a policy covers what is below it, and only for the image host', (t) => {
  const raw: ContainerSpec = { Image: 'host:latest', CapabilityAdd: ['NET_RAW'] };
  t.throws(() => checkHostPrivileges(raw, 'none'), { code: 'PERMISSION_DENIED' });
  t.notThrows(() => checkHostPrivileges(raw, 'capabilities'));
  t.notThrows(() => checkHostPrivileges(raw, 'root'));
  const root: ContainerSpec = { Image: 'host', User: 'root' };
  t.throws(() => checkHostPrivileges(root, 'capabilities'), { code: 'PERMISSION_DENIED' });
  t.notThrows(() => checkHostPrivileges({ ...root, Image: 'nginx' }, 'none'));
});
