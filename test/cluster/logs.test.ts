import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Task } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { Cluster, type Host, Lab, until } from '../lab/index.js';

/** Counts, a line a number, and names itself in each. */
const COUNTER = 'i=0; while :; do i=$((i+1)); echo "$TASK $i"; sleep 0.05; done';
/** A line of more than six pieces, cut within characters wherever that is, and bytes that are no UTF-8. */
const BYTES = `head -c 100000 /dev/zero | sed 's/\\x00/ö/g'; echo; printf '\\377\\303(\\n'`;
const HAS_DOCKER = existsSync('/usr/bin/docker') || existsSync('/usr/local/bin/docker');

let lab: Lab;
let cluster: Cluster;
/** A manager that does not lead: the followers are its clients. */
let server: Host;
let followers: Follower[];

test.before(async (t) => {
  t.timeout(60_000);
  lab = await Lab.up({ name: 'logs', managers: 3, workers: 1 });
  cluster = new Cluster(lab);
  const leader = await cluster.leader();
  server = lab.managers.find((host) => host !== leader)!;
  const shell = ['host', '/bin/sh', '-c', COUNTER];
  const env = ['--env', 'TASK={{.Task.ID}}', '--restart-delay', '100ms'];
  await server.must([
    'swarm',
    'service',
    'create',
    '-d',
    '--name',
    'count',
    '--replicas',
    '2',
    ...env,
    ...shell,
  ]);
  await cluster.untilRunning('count', 2);
  const command = ['service', 'logs', '--follow', 'count'];
  followers = [new Follower(server, ['swarm', ...command])];
  if (HAS_DOCKER) followers.push(new Follower(server, ['docker', ...command]));
});

test.after.always(async (t) => {
  t.timeout(60_000);
  for (const follower of followers ?? []) follower.stop();
  await lab?.down();
});

test.serial('a follower goes on through a scale-up and an update, with full names', async (t) => {
  t.timeout(60_000);
  await seenAll(await cluster.untilRunning('count', 2));
  await server.must(['swarm', 'service', 'scale', '-d', 'count=4']);
  await seenAll(await cluster.untilRunning('count', 4));
  const update = ['--env-add', 'V=2', '--update-parallelism', '0', '--update-monitor', '0s'];
  const before = (await cluster.running('count')).map((task) => task.ID);
  await server.must(['swarm', 'service', 'update', '-d', ...update, 'count']);
  const tasks = await until('all tasks are new', async () => {
    const running = await cluster.running('count');
    return running.length === 4 && !running.some(({ ID }) => before.includes(ID)) && running;
  });
  await seenAll(tasks);
  checkCounts(t);
  for (const follower of followers) t.is(follower.err, '');
});

test.serial('a node that is away costs one line, and goes on where it was cut', async (t) => {
  t.timeout(60_000);
  const worker = lab.host('w1');
  const nodeId = (await cluster.nodes(server)).find(
    ({ Description }) => Description?.Hostname === 'w1',
  )!.ID;
  const [task] = (await cluster.running('count')).filter(({ NodeID }) => NodeID === nodeId);
  t.truthy(task, 'a task runs there');
  await lab.cut(worker.name);
  const away = followers.map((follower) => follower.last(task!.ID));
  await until('the followers hear of it', () =>
    followers.every(({ err }) => /node w1 is away/.test(err)),
  );
  await seenAll(await cluster.untilRunning('count', 4));
  await lab.heal(worker.name);
  await until('the log of the time without a link comes', () =>
    followers.every((follower, at) => follower.last(task!.ID) > away[at]! + 20),
  );
  checkCounts(t);
  for (const { err } of followers) t.is(err.match(/is away/g)?.length, 1, err);
});

test.serial('a follower does not notice that the leader is killed', async (t) => {
  t.timeout(60_000);
  const leader = await cluster.leader();
  t.not(leader, server);
  await lab.kill(leader.name);
  await until('another leads', async () => {
    const nodes = await cluster.nodes(server);
    return nodes.some((node) => node.ManagerStatus?.Leader && cluster.hostOf(node) !== leader);
  });
  await seenAll(await cluster.untilRunning('count', 4, { host: server }));
  checkCounts(t);
  await lab.start(leader.name);
  for (const { child, err } of followers) {
    t.is(child.exitCode, null, err);
    t.notRegex(err, /leader|aborted|rror/);
  }
});

test.serial('swarm connects again when the daemon that it talks to dies', async (t) => {
  t.timeout(60_000);
  const [own] = followers as [Follower];
  await server.killDaemon();
  const before = new Map([...own.counts].map(([taskId, numbers]) => [taskId, numbers.length]));
  await server.startDaemons();
  await until('every task is heard again', async () => {
    const tasks = await cluster.running('count', server);
    const isHeard = ({ ID }: Task) => own.last(ID) > (before.get(ID) ?? 0) + 5;
    return tasks.length === 4 && tasks.every(isHeard);
  });
  checkCounts(t);
});

test.serial('a long line is one line, and bytes are bytes', async (t) => {
  t.timeout(60_000);
  const create = [
    'swarm',
    'service',
    'create',
    '-d',
    '--name',
    'bytes',
    '--restart-condition',
    'none',
  ];
  await server.must([...create, 'host', '/bin/sh', '-c', BYTES]);
  const task = await until('it is done', async () => {
    const [found] = await cluster.tasks('bytes', server);
    return found?.Status.State === 'complete' && found;
  });
  const expected = Buffer.concat([
    Buffer.from('ö'.repeat(100_000)),
    Buffer.from([0x0a, 0xff, 0xc3, 0x28, 0x0a]),
  ]);
  // Following a task that has ended ends by itself.
  for (const program of HAS_DOCKER ? ['swarm', 'docker'] : ['swarm']) {
    const read = new Follower(server, [program, 'service', 'logs', '--follow', '--raw', task.ID]);
    t.is(await read.code(), 0, read.err);
    t.true(read.bytes.equals(expected), `${program}: ${read.bytes.length} bytes`);
  }
  const last = await server.must(['swarm', 'service', 'logs', '--raw', '--tail', '2', 'bytes']);
  t.is(last.split('\n').length, 3);
});

test.serial('following a service ends when it is removed', async (t) => {
  t.timeout(60_000);
  const [own] = followers as [Follower];
  await server.must(['swarm', 'service', 'rm', 'count']);
  t.is(await own.code(), 0, own.err);
});

/** Waits until every follower has a line of each task, with its name. */
async function seenAll(tasks: readonly Task[]): Promise<void> {
  for (const follower of followers) {
    if (follower.child.exitCode !== null) throw new Error(`it ended: ${follower.err}`);
    for (const task of tasks) {
      const name = `count.${task.Slot}.${task.ID.slice(0, 12)}@`;
      await until(
        `a line of ${name}`,
        () => follower.names.has(name) && follower.last(task.ID) > 0,
      );
    }
  }
}

/** Every follower has every number of every task once, in order. */
function checkCounts(t: ExecutionContext): void {
  for (const { counts, command } of followers) {
    for (const [taskId, numbers] of counts) {
      const wrong = numbers.findIndex((number, at) => number !== at + 1);
      t.is(wrong, -1, `${command}: task ${taskId} has ${numbers.slice(wrong - 2, wrong + 3)}`);
    }
  }
}

/** A client that follows a log. */
class Follower {
  readonly child: ChildProcess;
  readonly command: string;
  readonly counts = new Map<string, number[]>();
  /** The beginnings of prefixes: `count.1.abc@`. */
  readonly names = new Set<string>();
  readonly #chunks: Buffer[] = [];
  #rest = '';
  err = '';

  constructor(host: Host, command: readonly string[]) {
    this.command = command.join(' ');
    this.child = host.spawn(command);
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      const lines = (this.#rest + chunk.toString('latin1')).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** The last number of a task; 0 for none. */
  last(taskId: string): number {
    return this.counts.get(taskId)?.at(-1) ?? 0;
  }

  async code(): Promise<number | null> {
    if (this.child.exitCode === null) await once(this.child, 'close');
    return this.child.exitCode;
  }

  stop(): void {
    this.child.kill();
  }

  #take(line: string): void {
    const [, name, taskId, number] = /^(count\.\d+\.\w+@)\S+ +\| (\w+) (\d+)$/.exec(line) ?? [];
    if (taskId === undefined) return;
    this.names.add(name!);
    const numbers = this.counts.get(taskId);
    if (numbers === undefined) this.counts.set(taskId, [Number(number)]);
    else numbers.push(Number(number));
  }
}
