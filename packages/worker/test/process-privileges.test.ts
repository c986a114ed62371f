import { execFileSync } from 'node:child_process';
import type { HostPrivileges } from '@swarm/api';
import { SERVICE_UIDS, TASK_UIDS } from '@swarm/api';
import test from 'ava';
import { RuntimeError } from '../src/runtime/runtime-error.js';
import { checkBothStarts, outcome, shellTask, type ShellWishes } from './support/host-task.js';
import { IS_ROOT, type ProcessHarness } from './support/process-harness.js';
import { prepare } from './support/prepare.js';

if (!IS_ROOT) test('SKIPPED, run as root: what the policies allow', (t) => t.pass());

type Container = NonNullable<ShellWishes['container']>;

const check = checkBothStarts(test);

async function refusal(
  h: ProcessHarness,
  container: Container,
  policy: HostPrivileges,
): Promise<string> {
  const task = shellTask('true', { container, policy });
  try {
    await prepare(h.runtime, task);
  } catch (error) {
    if (error instanceof RuntimeError && error.reason === 'rejected') return error.message;
    throw error;
  }
  return '';
}

async function run(
  h: ProcessHarness,
  script: string,
  container: Container,
  policy: HostPrivileges,
): Promise<readonly string[]> {
  const { lines } = await outcome(h.runtime, shellTask(script, { container, policy }));
  return lines;
}

const WHO = 'id -u; id -g; id -G; grep CapEff /proc/self/status';
const NOTHING = 'CapEff:\t0000000000000000';
const SERVICE = String(SERVICE_UIDS.first + 7);

check('Without a policy a service may have a number of the range for services', async (t, h) => {
  t.deepEqual(await run(h, WHO, { User: SERVICE }, 'none'), [SERVICE, SERVICE, SERVICE, NOTHING]);
  const shared = String(SERVICE_UIDS.first + 8);
  const lines = await run(h, WHO, { Groups: [shared] }, 'none');
  t.true(Number(lines[0]) >= TASK_UIDS.first);
  t.is(lines[2], `${lines[0]} ${shared}`);
});

check('Without a policy users, groups and capabilities of the host are refused', async (t, h) => {
  const refused: [Container, RegExp][] = [
    [{ User: 'root' }, /ContainerSpec\.User asks for the user "root".*--host-privileges root'/],
    [{ User: '0' }, /user "0".*--host-privileges root'/],
    [{ User: '33' }, /user "33".*--host-privileges root'/],
    [{ User: 'nobody' }, /user "nobody".*no host privileges.*--host-privileges capabilities'/],
    [{ User: `${SERVICE}:0` }, /group "0".*--host-privileges root'/],
    [{ User: ':0' }, /group "0".*--host-privileges root'/],
    [{ User: String(TASK_UIDS.first) }, /--host-privileges root'/],
    [{ Groups: ['0'] }, /ContainerSpec\.Groups asks for the group "0".*--host-privileges root'/],
    [{ CapabilityAdd: ['CAP_NET_RAW'] }, /"CAP_NET_RAW".*--host-privileges capabilities'/],
    [{ CapabilityAdd: ['ALL'] }, /"ALL".*--host-privileges root'/],
    [{ CapabilityAdd: ['SYS_ADMIN'] }, /"SYS_ADMIN".*--host-privileges root'/],
    [{ OomScoreAdj: -1 }, /OomScoreAdj.*--host-privileges capabilities'/],
    [{ Ulimits: [{ Name: 'rtprio', Soft: 9, Hard: 9 }] }, /"rtprio".*--host-privileges cap/],
  ];
  for (const [container, message] of refused)
    t.regex(await refusal(h, container, 'none'), message, JSON.stringify(container));
  // What gives nothing up is no privilege.
  for (const container of [
    { CapabilityDrop: ['ALL'] },
    { OomScoreAdj: 500 },
    { Ulimits: [{ Name: 'nofile', Soft: 64, Hard: 64 }] },
  ])
    t.is(await refusal(h, container, 'none'), '', JSON.stringify(container));
});

check(
  'The policy "capabilities" gives mild capabilities and users that are not of the system',
  async (t, h) => {
    const raw = await run(h, WHO, { CapabilityAdd: ['CAP_NET_RAW', 'kill'] }, 'capabilities');
    t.true(Number(raw[0]) >= TASK_UIDS.first, 'it is still a user of its own');
    t.is(raw[3], 'CapEff:\t0000000000002020');
    const uid = execFileSync('id', ['-u', 'nobody']).toString().trim();
    const gid = execFileSync('id', ['-g', 'nobody']).toString().trim();
    const nobody = await run(h, WHO, { User: 'nobody' }, 'capabilities');
    t.deepEqual(nobody, [uid, gid, gid, NOTHING]);
    t.deepEqual(await run(h, WHO, { User: '4242' }, 'capabilities'), [
      '4242',
      '4242',
      '4242',
      NOTHING,
    ]);
    const refused: [Container, RegExp][] = [
      [{ User: 'root' }, /only the host privileges "capabilities".*--host-privileges root'/],
      // A name is known to the node alone.
      [{ User: 'daemon' }, /user "daemon" \(1\).*--host-privileges root'/],
      [{ User: 'nobody:daemon' }, /group "daemon" \(1\).*--host-privileges root'/],
      [{ Groups: ['daemon'] }, /Groups asks for the group "daemon" \(1\).*root'/],
      [{ CapabilityAdd: ['CAP_DAC_OVERRIDE'] }, /CAP_DAC_OVERRIDE.*--host-privileges root'/],
      [{ CapabilityAdd: ['CAP_NET_ADMIN'] }, /CAP_NET_ADMIN.*--host-privileges root'/],
    ];
    for (const [container, message] of refused)
      t.regex(await refusal(h, container, 'capabilities'), message, JSON.stringify(container));
  },
);

check('The policy "root" gives everything, but only to those that ask', async (t, h) => {
  const plain = await run(h, WHO, {}, 'root');
  t.true(Number(plain[0]) >= TASK_UIDS.first);
  t.is(plain[3], NOTHING);
  // What the isolation tests see refused is done by root: so they see the lack of privileges.
  const script = `id -u; mount -t tmpfs tmpfs /mnt && echo mounted; umount /mnt
    mknod /tmp/zero c 1 5 && echo made; cat /proc/1/environ >/dev/null && echo 'read pid 1'`;
  const root = await run(h, script, { User: 'root' }, 'root');
  t.deepEqual(root, ['0', 'mounted', 'made', 'read pid 1']);
  const chown = { User: 'root', CapabilityDrop: ['ALL'], CapabilityAdd: ['CAP_CHOWN'] };
  t.is((await run(h, WHO, chown, 'root'))[3], 'CapEff:\t0000000000000001');
  const less = await run(h, WHO, { User: 'root', CapabilityDrop: ['CAP_CHOWN'] }, 'root');
  t.regex(less[3]!, /^CapEff:\t[0-9a-f]{15}[02468ace]$/);
  t.not(less[3], NOTHING);
  t.is((await run(h, WHO, { User: 'daemon' }, 'root'))[0], '1');
});
