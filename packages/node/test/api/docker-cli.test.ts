import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { patch, put, taskDraft } from '@swarm/manager/testing';
import { start } from './support/fake-node.js';

/** The stock client, where it is installed. */
function clientVersion(): string | undefined {
  try {
    return execFileSync('docker', ['--version'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

const version = clientVersion();
const api = await start({ nodeId: 'manager1aaaaaaaaaaaaaaaaa' });
const home = mkdtempSync(join(tmpdir(), 'swarm-docker-'));
test.after.always(async () => {
  await api.close();
  rmSync(home, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function docker(...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, HOME: home, DOCKER_HOST: `unix://${api.socketPath}` };
    execFile('docker', args, { env, timeout: 20_000 }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, out, err });
    });
  });
}

/** A test that reports loudly that it was skipped when the client is missing. */
function withDocker(title: string, body: (t: import('ava').ExecutionContext) => Promise<void>) {
  if (version === undefined) test.todo(`SKIPPED, no docker command here: ${title}`);
  else test.serial(title, body);
}

withDocker('docker version and info describe this node', async (t) => {
  t.log(version);
  const shown = await docker('version');
  t.is(shown.code, 0, shown.err);
  t.regex(shown.out, /Server: Swarm[\s\S]*Version:\s+1\.2\.3[\s\S]*API version:\s+1\.50/);
  const info = await docker('info');
  t.is(info.code, 0, info.err);
  t.regex(info.out, /Swarm: active/);
  t.regex(info.out, /Is Manager: true/);
  t.regex(info.out, /Heartbeat Period: 1 second/);
  t.regex(info.out, /Nodes: 1/);
});

withDocker('docker node ls and inspect', async (t) => {
  const list = await docker('node', 'ls');
  t.is(list.code, 0, list.err);
  t.regex(list.out, /manager1a\S+ \*\s+\S+\s+Ready\s+Active\s+Leader/);
  const pretty = await docker('node', 'inspect', 'self', '--pretty');
  t.is(pretty.code, 0, pretty.err);
  t.regex(pretty.out, /Raft Status:\s+Reachable/);
  const drained = await docker('node', 'update', '--availability', 'drain', 'manager1a');
  t.is(drained.code, 0, drained.err);
  t.regex((await docker('node', 'ls')).out, /Drain/);
});

withDocker('docker service create, ls, inspect, ps, update, logs, rm', async (t) => {
  const created = await docker(
    ...['service', 'create', '-d', '--name', 'web', '--replicas', '2', '-p', '8080:80'],
    ...['--constraint', 'node.role==worker', '--label', 'a=b', '-e', 'X=1', 'nginx:1'],
  );
  t.is(created.code, 0, created.err);
  const id = created.out.trim();
  await put(
    api.node.store,
    'task',
    taskDraft('task1aaaaaaaaaaaaaaaaaaaaa', {
      Name: 'web.1.task1aaaaaaaaaaaaaaaaaaaaa',
      ServiceID: id,
      ServiceName: 'web',
      NodeID: api.node.nodeId,
      Status: { Timestamp: new Date().toISOString(), State: 'running', Message: 'started' },
    }),
  );
  // As the allocator does.
  await patch(api.node.store, 'service', id, (service) => ({
    ...service,
    Endpoint: {
      Spec: service.Spec.EndpointSpec ?? {},
      Ports: service.Spec.EndpointSpec?.Ports ?? [],
    },
  }));
  const list = await docker('service', 'ls');
  t.regex(list.out, /web\s+replicated\s+1\/2\s+nginx:1\s+\*:8080->80\/tcp/, list.err);
  const pretty = await docker('service', 'inspect', '--pretty', 'web');
  t.is(pretty.code, 0, pretty.err);
  t.regex(pretty.out, /PublishedPort = 8080/);
  const tasks = await docker('service', 'ps', 'web');
  t.is(tasks.code, 0, tasks.err);
  t.regex(tasks.out, /web\.1\s+nginx\s+manager1\S*\s+Running\s+Running/);
  const scaled = await docker(
    'service',
    'update',
    '-d',
    '--replicas',
    '3',
    '--env-add',
    'Y=2',
    'web',
  );
  t.is(scaled.code, 0, scaled.err);
  t.is(api.node.store.get('service', id)?.Spec.Mode.Replicated?.Replicas, 3);
  const back = await docker('service', 'rollback', '-d', 'web');
  t.is(back.code, 0, back.err);
  const { Spec } = api.node.store.get('service', id)!;
  t.is(Spec.Mode.Replicated?.Replicas, 3, 'the number stays as it is now');
  t.false(Spec.TaskTemplate.ContainerSpec?.Env?.includes('Y=2') === true);
  const timestamp = '2026-01-01T00:00:00.5Z';
  const taskId = 'task1aaaaaaaaaaaaaaaaaaaaa';
  const data = Buffer.from('hello\n');
  api.node.logItems = [
    {
      type: 'line',
      nodeId: api.node.nodeId,
      line: { taskId, stream: 'stdout', timestamp, data },
    },
  ];
  const logs = await docker('service', 'logs', 'web');
  t.is(logs.code, 0, logs.err);
  t.regex(logs.out, /^web\.1\.task1aaaaaaa@manager1\S*\s+\| hello\n$/);
  const removed = await docker('service', 'rm', 'web');
  t.is(removed.code, 0, removed.err);
  t.false((await docker('service', 'ls', '-q')).out.includes(id.slice(0, 12)));
});

withDocker('jobs and global services are accepted as the client sends them', async (t) => {
  for (const mode of ['global', 'replicated-job', 'global-job']) {
    const created = await docker(
      ...['service', 'create', '-d', '--name', mode, '--mode', mode, 'busybox', 'true'],
    );
    t.is(created.code, 0, created.err);
  }
  const list = await docker('service', 'ls');
  t.is(list.code, 0, list.err);
  t.regex(list.out, /replicated-job\s+replicated job\s+0\/1 \(0\/1 completed\)/);
});

withDocker('networks are made, listed, used, shown and removed', async (t) => {
  const made = await docker(
    ...['network', 'create', '-d', 'overlay', '--attachable', '--label', 'a=b', '--ipv6'],
    ...['--subnet', '10.77.0.0/24', '--gateway', '10.77.0.1', '--ip-range', '10.77.0.128/25'],
    ...['-o', 'com.docker.network.driver.mtu=1400', 'stocknet'],
  );
  t.is(made.code, 0, made.err);
  const id = made.out.trim();
  t.regex(id, /^[a-z0-9]{25}$/);
  const list = await docker('network', 'ls', '--filter', 'label=a');
  t.is(list.code, 0, list.err);
  t.regex(list.out, new RegExp(`${id.slice(0, 12)}\\s+stocknet\\s+overlay\\s+swarm`));
  const format = '{{(index .IPAM.Config 0).IPRange}} {{.EnableIPv6}} {{.Attachable}} {{.Ingress}}';
  const shown = await docker('network', 'inspect', '-f', format, 'stocknet');
  t.is(shown.out.trim(), '10.77.0.128/25 true true false', shown.err);
  const created = await docker(
    ...['service', 'create', '-d', '--name', 'onnet', '--network', 'name=stocknet,alias=db'],
    ...['--endpoint-mode', 'dnsrr', 'nginx'],
  );
  t.is(created.code, 0, created.err);
  const service = await docker('service', 'inspect', '--pretty', 'onnet');
  t.regex(service.out, /Networks: stocknet/, service.err);
  t.regex(service.out, /Endpoint Mode:\s+dnsrr/);
  const verbose = await docker('network', 'inspect', '-v', 'stocknet');
  t.is(verbose.code, 0, verbose.err);
  t.is(JSON.parse(verbose.out)[0].Services.onnet.VIP, '');
  const used = await docker('network', 'rm', 'stocknet');
  t.is(used.code, 1);
  t.regex(used.err, new RegExp(`network ${id} is in use by service onnet`));
  const left = await docker('service', 'update', '-d', '--network-rm', 'stocknet', 'onnet');
  t.is(left.code, 0, left.err);
  const spare = await docker('network', 'create', '-d', 'overlay', 'spare');
  t.is(spare.code, 0, spare.err);
  const removed = await docker('network', 'rm', 'stocknet');
  t.is(removed.code, 0, removed.err);
  const pruned = await docker('network', 'prune', '-f');
  t.regex(pruned.out, /Deleted Networks:\nspare/, pruned.err);
});

withDocker('a mistake is shown with our message', async (t) => {
  const refused = await docker(
    ...['service', 'create', '-d', '--name', 'bad', '--constraint', 'node.role=manager', 'nginx'],
  );
  t.is(refused.code, 1);
  t.regex(refused.err, /node\.role=manager/);
  const missing = await docker('service', 'inspect', 'ghost');
  t.regex(missing.err, /[Nn]o such service: ghost/);
  t.is((await docker('network', 'ls')).code, 0);
  t.is((await docker('secret', 'ls')).code, 0);
  t.is((await docker('config', 'ls')).code, 0);
  t.is((await docker('stack', 'ls')).code, 0);
  const token = await docker('swarm', 'join-token', '--rotate', 'worker');
  t.is(token.code, 0, token.err);
  t.regex(
    token.out,
    /docker swarm join --token SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25} 198\.18\.0\.1:2377/,
  );
});
