import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Level } from 'level';
import { until } from '@swarm/sim';
import { checkBothStarts, PROGRESS, shellTask } from './support/host-task.js';
import { IS_ROOT } from './support/process-harness.js';
import { ALL_LOGS, collect, text } from './support/real.js';
import { prepare } from './support/prepare.js';

if (!IS_ROOT) test('SKIPPED, run as root: what starts and checks a task', (t) => t.pass());

const check = checkBothStarts(test);
const MS = 1_000_000;

/** A check that fails for ever, so that the task goes on while it runs. */
function checked(command: readonly string[]) {
  return {
    Test: ['CMD', ...command],
    Interval: 100 * MS,
    Timeout: 5_000 * MS,
    Retries: 1_000,
    StartPeriod: 0,
  };
}

function hasUserNamespaces(): boolean {
  try {
    execFileSync('setpriv', ['--reuid=2050000003', '--clear-groups', 'unshare', '-Urm', 'true'], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

check('What runs with root for a task has none of its variables', async (t, h) => {
  const folder = mkdtempSync('/srv/swarm-test-');
  chmodSync(folder, 0o777);
  try {
    // The dynamic linker of every program that gets these writes a file, as its own user.
    const Env = ['LD_DEBUG=libs', `LD_DEBUG_OUTPUT=${join(folder, 'linked')}`, "ODD=it's\na\\n $x"];
    const container = {
      Env,
      Healthcheck: checked(['/bin/sh', '-c', 'printf "%s" "$ODD" >>/tmp/odd']),
    };
    const task = shellTask(
      'until [ -s /tmp/odd ]; do sleep 0.05; done; cat /tmp/odd; exec sleep 600',
      {
        container,
      },
    );
    await prepare(h.runtime, task);
    const started = h.runtime.start(task.ID, PROGRESS).catch(() => {});
    const lines = async () => (await collect(h.runtime.logs(task.ID, ALL_LOGS))).map(text).join('');
    await until('a check has run', async () => (await lines()) !== '');
    t.true((await lines()).startsWith("it's\na\\n $x"), 'the check has them, as they are');
    const owners = readdirSync(folder).map((name) => statSync(join(folder, name)).uid);
    t.true(owners.length > 0, 'the task and its check have them');
    t.false(owners.includes(0), 'no program of root has');
    await h.runtime.stop(task.ID, { graceMs: 0 });
    await started;
  } finally {
    rmSync(folder, { recursive: true });
  }
});

check('A check runs no program that the task has put in place of the host’s', async (t, h) => {
  if (!hasUserNamespaces()) {
    t.pass('SKIPPED: this host has no user namespaces for its users');
    return;
  }
  const setpriv = execFileSync('/bin/sh', ['-c', 'command -v setpriv']).toString().trim();
  const inside = `printf '#!/bin/sh\\ngrep Uid /proc/self/status >/tmp/who\\n' >/tmp/forged
    chmod 755 /tmp/forged; mount --bind /tmp/forged ${setpriv} && : >/tmp/ready
    until [ -s /tmp/who ] || [ -s /tmp/checked ]; do sleep 0.05; done
    cat /tmp/who /tmp/checked 2>/dev/null; echo end; exec sleep 600`;
  const container = {
    Command: ['unshare', '-Urm', '/bin/sh', '-c', inside],
    Healthcheck: checked([
      '/bin/sh',
      '-c',
      '[ -e /tmp/ready ] && echo checked >>/tmp/checked; false',
    ]),
  };
  const task = shellTask('', { container });
  await prepare(h.runtime, task);
  const started = h.runtime.start(task.ID, PROGRESS).catch(() => {});
  const lines = async () => (await collect(h.runtime.logs(task.ID, ALL_LOGS))).map(text);
  await until('a check has run', async () => (await lines()).includes('end\n'));
  t.is((await lines())[0], 'checked\n');
  await h.runtime.stop(task.ID, { graceMs: 0 });
  await started;
});

check('A task and its check inherit no file of the daemon', async (t, h) => {
  const folder = mkdtempSync('/tmp/swarm-test-');
  const database = new Level(folder);
  await database.open();
  try {
    const list = (to: string) => `for f in /proc/self/fd/*; do readlink $f; done >${to}; false`;
    const container = { Healthcheck: checked(['/bin/sh', '-c', list('/tmp/checked')]) };
    const script = `${list('/tmp/own')}; until [ -s /tmp/checked ]; do sleep 0.05; done
      cat /tmp/own /tmp/checked; echo end; exec sleep 600`;
    const task = shellTask(script, { container });
    await prepare(h.runtime, task);
    const started = h.runtime.start(task.ID, PROGRESS).catch(() => {});
    const lines = async () => (await collect(h.runtime.logs(task.ID, ALL_LOGS))).map(text);
    await until('a check has run', async () => (await lines()).includes('end\n'));
    const left = (await lines()).filter((line) => line.includes(folder));
    t.deepEqual(left, []);
    await h.runtime.stop(task.ID, { graceMs: 0 });
    await started;
  } finally {
    await database.close();
    rmSync(folder, { recursive: true });
  }
});
