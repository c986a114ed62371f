import test from 'ava';
import { DAEMON } from '../src/commands/daemon.js';
import { daemonLine } from '../src/line/daemon-line.js';
import { parseArguments } from '../src/line/parse.js';

const LISTS = ['label', 'mesh-bind'];

for (const line of [
  '',
  '--log-format json',
  '--log-format=json --log-level debug --log-level warn',
  '--label a=1 --label=b=2 --mesh-bind 198.18.0.1',
  '--data-root /x --socket= --engine unix:///e --cgroup-parent y --runtime process --mesh userspace',
])
  test(`both parsers read 'daemon ${line}' alike`, (t) => {
    const words = line.split(' ').filter((word) => word !== '');
    const args = parseArguments(DAEMON, words)!;
    const names = Object.keys(DAEMON.flags).filter((name) => args.has(name));
    const full = names.map((name) => [
      name,
      LISTS.includes(name) ? args.list(name) : args.string(name),
    ]);
    t.deepEqual(daemonLine(words), Object.fromEntries(full));
  });

for (const line of [
  '--help',
  '-h',
  'extra',
  '--lable a=1',
  '--log-format yaml',
  '--label',
  '--socket --label',
  '-H unix:///x',
  '-- --label a=1',
])
  test(`'daemon ${line}' is left to the full parser`, (t) => {
    t.is(daemonLine(line.split(' ')), undefined);
  });
