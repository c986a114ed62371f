import { execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { TASK_UIDS } from '@swarm/api';
import test from 'ava';
import { until } from '@swarm/sim';
import { hasCallPrograms } from '../src/runtime/process/call-program.js';
import { checkBothStarts, errorOf, outcome, PROGRESS, shellTask } from './support/host-task.js';
import { IS_ROOT, openProcessRuntime } from './support/process-harness.js';
import { ALL_LOGS, collect, text } from './support/real.js';
import { prepare } from './support/prepare.js';

if (!IS_ROOT) test('SKIPPED, run as root: what a task may not do', (t) => t.pass());

const check = checkBothStarts(test);

function statusOf(lines: readonly string[], field: string): string {
  const line = lines.find((each) => each.startsWith(`${field}:`)) ?? '';
  return line.slice(field.length + 1).trim();
}

check(
  'A task is an unprivileged user of its own, without capabilities or a way to more',
  async (t, h) => {
    const seen = new Set<string>();
    for (let count = 0; count < 2; count += 1) {
      const { lines } = await outcome(h.runtime, shellTask('cat /proc/self/status'));
      const [uid] = statusOf(lines, 'Uid').split('\t');
      t.is(statusOf(lines, 'Uid'), [uid, uid, uid, uid].join('\t'));
      t.is(statusOf(lines, 'Gid'), [uid, uid, uid, uid].join('\t'));
      t.true(Number(uid) >= TASK_UIDS.first && Number(uid) <= TASK_UIDS.last, uid);
      t.is(statusOf(lines, 'Groups'), '');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        t.is(statusOf(lines, set), '0000000000000000', set);
      t.is(statusOf(lines, 'NoNewPrivs'), '1');
      seen.add(uid!);
    }
    t.is(seen.size, 2, 'no two tasks share a user');
  },
);

check('A daemon that starts again knows the users of its tasks', async (t, h) => {
  const task = shellTask('id -u; exec sleep 600');
  await prepare(h.runtime, task);
  await h.runtime.start(task.ID, PROGRESS);
  const lines = async () => (await collect(h.runtime.logs(task.ID, ALL_LOGS))).map(text);
  await until('it says who it is', async () => (await lines()).length > 0);
  const claim = `/run/swarm-uids/${(await lines())[0]?.trim()}`;
  t.true(existsSync(claim));
  // As after a boot, which empties /run.
  rmSync(claim);
  await h.reopen();
  await h.runtime.list();
  t.true(existsSync(claim));
  await h.runtime.remove(task.ID);
  t.false(existsSync(claim), 'it is given back with the task');
});

check('A task on an overlay network asks the mesh for names, and knows its own', async (t, h) => {
  const script =
    'cat /etc/resolv.conf; echo --; cat /etc/hosts; echo --; ls -l /etc/resolv.conf; id -u';
  const container = { Hostname: 'box' };
  const overlay = shellTask(script, { address: '10.0.1.7/24', container });
  const { lines, end } = await outcome(h.runtime, overlay);
  t.like(end, { code: 0 }, lines.join('\n'));
  const [conf = '', hosts = ''] = lines.join('\n').split('\n--\n');
  t.regex(conf, /^nameserver 127\.0\.0\.11\n/);
  t.regex(conf, /^options ndots:0$/m);
  t.is(conf.match(/nameserver/g)?.length, 1);
  t.regex(hosts, /^127\.0\.0\.1\tlocalhost$/m);
  t.regex(hosts, /^10\.0\.1\.7\tbox$/m);
  const host = readFileSync('/etc/resolv.conf', 'utf8');
  // On the ingress network alone there are no names.
  for (const address of [undefined, '10.240.1.7/32']) {
    const wishes = address === undefined ? {} : { address };
    const other = await outcome(h.runtime, shellTask('cat /etc/resolv.conf', wishes));
    t.deepEqual(other.lines, host.trimEnd().split('\n'));
  }
  t.is(readFileSync('/etc/resolv.conf', 'utf8'), host, 'the host keeps its own');
});

check('A task has namespaces of its own, and sees its own processes alone', async (t, h) => {
  const script = `for n in pid mnt ipc; do readlink /proc/self/ns/$n; done
    for p in /proc/[0-9]*; do read -r name <$p/comm && echo "$name"; done`;
  const { lines } = await outcome(h.runtime, shellTask(script));
  for (const [at, name] of ['pid', 'mnt', 'ipc'].entries())
    t.not(lines[at], readlinkSync(`/proc/self/ns/${name}`), name);
  // Its pid 1, which reaps, and its own shell.
  t.is(lines.length, 5);
  t.true(['sh', 'swarm-init'].includes(lines[3]!));
  t.is(lines[4], 'sh');
});

const rootTest = IS_ROOT ? test : test.skip;

rootTest("The data root is hidden, and so are the sockets of the host's programs", async (t) => {
  const sockets = ['/run/swarm-test.sock', '/srv/swarm-test.sock'].map((path) =>
    path.replace('test', `test-${process.pid}`),
  );
  const servers = sockets.map((path) => createServer().listen(path));
  await Promise.all(servers.map((server) => new Promise((done) => server.once('listening', done))));
  const h = await openProcessRuntime(true, { parentFolder: '/srv', hiddenSockets: [sockets[1]!] });
  // The modes of files must not be what this test sees.
  for (const path of [...sockets, h.folder]) chmodSync(path, 0o777);
  const connect = (path: string) =>
    `"${process.execPath}" -e "require('net').connect('${path}').on('error', e => console.log(e.code)).on('connect', () => console.log('connected'))"`;
  try {
    const script = `echo "data:$(ls -A ${h.folder})"; ${sockets.map(connect).join('; ')}`;
    const hidden = await outcome(h.runtime, shellTask(script));
    t.deepEqual(hidden.lines, ['data:', 'ENOENT', 'ECONNREFUSED']);
    t.deepEqual(readdirSync(h.folder), ['sandboxes', 'tasks'], 'only the task does not see it');
  } finally {
    for (const server of servers) server.close();
    await h.close();
  }
});

check('A task cannot leave its cgroup', async (t, h) => {
  const script = `cat /proc/self/cgroup
    for f in $(find /sys/fs/cgroup -name cgroup.procs 2>/dev/null); do
      if echo $$ 2>/dev/null >$f; then echo "wrote $f"; fi
    done
    if mkdir /sys/fs/cgroup/*/mine /sys/fs/cgroup/mine 2>/dev/null; then echo made; fi
    cat /proc/self/cgroup; echo end`;
  const { lines } = await outcome(h.runtime, shellTask(script));
  t.is(lines.at(-1), 'end');
  t.deepEqual(
    lines.filter((line) => line.startsWith('wrote') || line === 'made'),
    [],
  );
  const cgroups = lines.slice(0, -1);
  t.deepEqual(cgroups.slice(0, cgroups.length / 2), cgroups.slice(cgroups.length / 2));
});

check('A task cannot mount anything, nor trace or signal processes of others', async (t, h) => {
  const stranger = spawn('/bin/sleep', ['600'], { stdio: 'ignore' });
  const other = shellTask('exec sleep 600');
  try {
    await prepare(h.runtime, other);
    await h.runtime.start(other.ID, PROGRESS);
    const otherPid = h.runtime.pid(other.ID)!;
    const script = `mount -t tmpfs tmpfs /mnt 2>&1 && echo mounted
      umount /run 2>&1 && echo unmounted
      mknod /tmp/disk b 254 0 2>&1 && echo made
      chroot / true 2>&1 && echo chrooted
      for pid in ${stranger.pid} ${otherPid}; do kill -0 $pid 2>/dev/null && echo "signalled $pid"; done
      cat /proc/1/environ >/dev/null 2>&1 && echo 'read pid 1'
      kill -9 1 2>/dev/null && echo 'signalled 1'; nsenter --target 1 --mount true 2>&1 && echo entered
      echo 3 2>/dev/null >/proc/sys/vm/drop_caches && echo dropped
      echo end`;
    const { lines } = await outcome(h.runtime, shellTask(script));
    t.is(lines.at(-1), 'end');
    const done = /^(mounted|unmounted|made|chrooted|signalled \d|read pid 1|entered|dropped)/;
    t.deepEqual(
      lines.filter((line) => done.test(line)),
      [],
    );
    t.notThrows(() => process.kill(otherPid, 0));
    t.is(stranger.exitCode ?? stranger.signalCode, null);
  } finally {
    stranger.kill('SIGKILL');
  }
});

check('A program with the set-user-ID bit gives a task nothing', async (t, h) => {
  // Not below /tmp, which is private: a folder of the host that every task sees.
  const program = `/usr/local/bin/${basename(h.folder)}`;
  copyFileSync('/usr/bin/id', program);
  chmodSync(program, 0o4755);
  try {
    const { lines } = await outcome(h.runtime, shellTask(`${program} -u; id -u`));
    t.is(lines.length, 2);
    t.is(lines[0], lines[1]);
    t.not(lines[0], '0');
  } finally {
    rmSync(program);
  }
});

check('In its own network namespace a task listens on port 80', async (t, h) => {
  const listen = `require('net').createServer().on('error', e => { console.log(e.code); process.exit(1) }).listen(80, () => console.log('listening'))`;
  const task = shellTask(`exec "${process.execPath}" -e "${listen}"`, {
    address: '198.18.77.1/32',
  });
  await prepare(h.runtime, task);
  await h.runtime.start(task.ID, PROGRESS);
  const lines = async () => (await collect(h.runtime.logs(task.ID, ALL_LOGS))).map(text);
  await until('it says how it went', async () => (await lines()).length > 0);
  t.deepEqual(await lines(), ['listening\n']);
});

check('Temporary folders are private, writable, and gone with the task', async (t, h) => {
  const name = `swarm-private-${process.pid}`;
  const script = `echo $HOME; for d in /tmp /var/tmp /dev/shm "$HOME"; do
      ls -A $d | grep -v ${name}; echo x >$d/${name} && echo ok; done; echo 1 >/${name} || echo closed`;
  const { lines } = await outcome(h.runtime, shellTask(script));
  t.deepEqual(
    lines.filter((line) => !line.includes('cannot create')),
    ['/tmp', 'ok', 'ok', 'ok', 'ok', 'closed'],
  );
  for (const folder of ['/tmp', '/var/tmp', '/dev/shm']) t.false(existsSync(join(folder, name)));
});

check('A task opens its standard output again by its name', async (t, h) => {
  const { lines } = await outcome(
    h.runtime,
    shellTask('echo one >>/dev/stdout; echo two >>/dev/stderr; echo three >>/proc/self/fd/1'),
  );
  t.deepEqual([...lines].sort(), ['one', 'three', 'two']);
});

check('A task gets no file of its daemon', async (t, h) => {
  const { lines } = await outcome(h.runtime, shellTask('ls -l /proc/self/fd /proc/$$/fd'));
  const open = lines.map((line) => line.split(' -> ')[1]).filter((path) => path !== undefined);
  t.deepEqual(
    open.filter((path) => !/^(\/dev\/null|.*std(out|err)\.log.*|\/proc\/.*|pipe:.*)$/.test(path)),
    [],
  );
});

const callsTest = IS_ROOT && hasCallPrograms() && existsSync('/proc/keys') ? test : test.skip;

callsTest('A task has a keyring of its own, and no keys of its daemon', async (t) => {
  const h = await openProcessRuntime(true);
  const { lines } = await outcome(h.runtime, shellTask('id -u; grep -F _ses /proc/keys'));
  await h.close();
  t.is(lines.length, 2);
  t.true(lines[1]!.split(/\s+/).includes(lines[0]!), lines[1]);
});

check('Orphans in a task are reaped, and end with it', async (t, h) => {
  const script = `for i in 1 2 3; do (sh -c 'exit 0' & ) ; done; sleep 0.2
    grep -l '^State:.Z' /proc/[0-9]*/status; echo end`;
  const { lines } = await outcome(h.runtime, shellTask(script));
  t.deepEqual(lines, ['end']);
});

check('A health check runs as the user of its task, among its processes', async (t, h) => {
  const probe = `[ "$(id -u)" = "$(cat /tmp/uid)" ] && grep -q '^NoNewPrivs:.1' /proc/self/status &&
    grep -q '^CapBnd:.0000000000000000' /proc/self/status && [ -e /proc/1/comm ] && [ "$(cat /proc/1/comm)" != systemd ] && [ ! -e /proc/${process.pid}/ns ]`;
  const task = shellTask('id -u >/tmp/uid; exec sleep 600', {
    container: { Healthcheck: { Test: ['CMD-SHELL', probe], Interval: 20e6, Retries: 50 } },
  });
  await prepare(h.runtime, task);
  await t.notThrowsAsync(h.runtime.start(task.ID, PROGRESS));
});

check('Tasks do not hold on to the network namespaces of others', async (t, h) => {
  const inside = await outcome(
    h.runtime,
    shellTask('grep -c " /run/netns" /proc/self/mountinfo', { address: '198.18.77.1/32' }),
  );
  t.deepEqual(inside.lines, ['0']);
});

check('A task whose arguments are no paths ends as any other', async (t, h) => {
  for (const word of [`./${'x'.repeat(300)}`, '/etc/passwd/below', '.'.repeat(9_999)]) {
    const container = { Command: ['/bin/sh', '-c', 'exit 3', word] };
    const { end } = await outcome(h.runtime, shellTask('', { container }));
    t.like(end, { kind: 'exit', code: 3 });
  }
});

check('The error names a file that the task cannot access, and what to do', async (t, h) => {
  const folder = mkdtempSync('/srv/swarm-closed-');
  const script = join(folder, 'server.js');
  writeFileSync(script, 'setInterval(() => {}, 1000)');
  try {
    const closed = await outcome(
      h.runtime,
      shellTask('', { container: { Command: [process.execPath, script] } }),
    );
    t.regex(
      errorOf(closed.end),
      new RegExp(
        `cannot access ${script}: ${folder} is closed to it \\(mode 0700\\).*chmod -R o\\+rX`,
      ),
    );
    const inside = await outcome(h.runtime, shellTask('true', { container: { Dir: folder } }));
    t.like(inside.end, { code: 125 });
    t.regex(errorOf(inside.end), /could not enter its working directory .*chmod/);
    copyFileSync('/bin/true', join(folder, 'own'));
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'own'), 0o744);
    const own = await outcome(
      h.runtime,
      shellTask('', { container: { Command: [join(folder, 'own')] } }),
    );
    t.regex(errorOf(own.end), /own is closed to it \(mode 0744\)/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

rootTest('Where the data root can hold no programs, tasks start through a shell', async (t) => {
  const folder = mkdtempSync('/srv/swarm-noexec-');
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'noexec', 'tmpfs', folder]);
  try {
    const h = await openProcessRuntime(true, { parentFolder: folder });
    const { end, lines } = await outcome(h.runtime, shellTask('cat /proc/1/comm'));
    t.like(end, { code: 0 });
    t.deepEqual(lines, ['sh']);
    await h.close();
  } finally {
    execFileSync('umount', [folder]);
    rmSync(folder, { recursive: true });
  }
});
