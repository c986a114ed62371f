import { request } from 'node:http';
import test from 'ava';
import { Cluster, type Host, Lab } from '../lab/index.js';

let lab: Lab;
let cluster: Cluster;
let manager: Host;

test.before(async (t) => {
  t.timeout(120_000);
  lab = await Lab.up({ name: 'bad', managers: 1, workers: 2, bare: true });
  manager = lab.host('m1');
  await manager.must(['swarm', 'init', '--advertise-addr', manager.address]);
  cluster = new Cluster(lab);
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
});

/** After each bad input the daemon must still answer. */
test.afterEach.always(async (t) => {
  t.is((await manager.api('GET', '/_ping')).status, 200);
});

async function message(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; message: string }> {
  const reply = await manager.api(method, path, body);
  return {
    status: reply.status,
    message: String((reply.json as { message?: unknown } | undefined)?.message),
  };
}

const SERVICE = {
  Name: 'one',
  TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['sleep', '1000'] } },
  Mode: { Replicated: { Replicas: 1 } },
};

test.serial('a wrong join token is refused with what to do', async (t) => {
  const worker = lab.host('w1');
  const token = (await manager.must(['swarm', 'join-token', '-q', 'worker'])).trim();
  const wrong = `${token.slice(0, -4)}zzzz`;
  const result = await worker.exec(['swarm', 'join', '--token', wrong, `${manager.address}:2377`]);
  t.is(result.code, 1);
  t.regex(result.stderr, /token/i);
  t.regex(result.stderr, /join-token/);
  const noToken = await worker.exec([
    'swarm',
    'join',
    '--token',
    'nonsense',
    `${manager.address}:2377`,
  ]);
  t.is(noToken.code, 1);
  t.regex(noToken.stderr, /not a join token/i);
  t.is((await worker.exec(['swarm', 'info'])).stdout.includes('Swarm: inactive'), true);
});

test.serial('a token of another cluster is refused', async (t) => {
  const other = lab.host('w2');
  await other.must(['swarm', 'init', '--advertise-addr', other.address]);
  const foreign = (await other.must(['swarm', 'join-token', '-q', 'worker'])).trim();
  const result = await lab
    .host('w1')
    .exec(['swarm', 'join', '--token', foreign, `${manager.address}:2377`]);
  t.is(result.code, 1);
  t.regex(result.stderr, /not for the cluster of the manager/);
  await other.must(['swarm', 'leave', '--force']);
});

test.serial('an unknown node is named', async (t) => {
  const reply = await message('GET', '/nodes/nosuchnode');
  t.is(reply.status, 404);
  t.regex(reply.message, /nosuchnode/);
  const cli = await manager.exec(['swarm', 'node', 'inspect', 'nosuchnode']);
  t.is(cli.code, 1);
  t.regex(cli.stderr, /nosuchnode/);
});

test.serial('a taken name and a published port are conflicts that name the holder', async (t) => {
  const first = await message('POST', '/services/create', {
    ...SERVICE,
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8090 }] },
  });
  t.is(first.status, 201, first.message);
  const name = await message('POST', '/services/create', SERVICE);
  t.is(name.status, 409);
  t.regex(name.message, /one/);
  const port = await message('POST', '/services/create', {
    ...SERVICE,
    Name: 'two',
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8090 }] },
  });
  t.is(port.status, 409);
  t.regex(port.message, /8090.*already in use by service 'one'/);
});

test.serial('malformed JSON, a wrong type and bad constraints get 400 and say where', async (t) => {
  const malformed = await message('POST', '/services/create', '{"Name": "x", ');
  t.is(malformed.status, 400);
  const wrongType = await message('POST', '/services/create', {
    ...SERVICE,
    Name: 'x',
    Mode: { Replicated: { Replicas: 'many' } },
  });
  t.is(wrongType.status, 400);
  t.regex(wrongType.message, /Replicas/);
  const constraint = await message('POST', '/services/create', {
    ...SERVICE,
    Name: 'x',
    TaskTemplate: { ...SERVICE.TaskTemplate, Placement: { Constraints: ['node.role is worker'] } },
  });
  t.is(constraint.status, 400);
  t.regex(constraint.message, /node\.role is worker/);
});

test.serial('an unknown route is 404', async (t) => {
  t.deepEqual(await message('GET', '/nothing/here'), { status: 404, message: 'page not found' });
});

test.serial('a body of 50 MB is refused with 413 and not kept in memory', async (t) => {
  const before = await residentBytes(manager);
  const status = await new Promise<number>((resolve, reject) => {
    const call = request(
      {
        socketPath: manager.state.socket,
        path: '/services/create',
        method: 'POST',
        agent: false,
        headers: { 'content-type': 'application/json' },
      },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    call.on('error', (error: NodeJS.ErrnoException) => {
      // The daemon may close the connection once it has answered.
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    const chunk = Buffer.alloc(1024 * 1024, 0x20);
    let sent = 0;
    const more = () => {
      while (sent < 50 && !call.destroyed) {
        sent += 1;
        if (!call.write(chunk)) {
          call.once('drain', more);
          return;
        }
      }
      call.end();
    };
    more();
  });
  t.is(status, 413);
  const grownBytes = (await residentBytes(manager)) - before;
  t.true(grownBytes < 40 * 1024 * 1024, `grew by ${grownBytes} bytes`);
});

test.serial('commands refuse unknown and unsupported flags by name', async (t) => {
  for (const [args, expected] of [
    [['service', 'create', '--frobnicate', 'host'], /unknown flag: --frobnicate/],
    [['service', 'create', '--secret', 'x', 'host'], /--secret is not supported/],
    [['service', 'create', '--publish', '0:80', 'host'], /invalid port '0'/],
    [['service', 'scale', 'one=many'], /one=many/],
    [['nothing'], /is not a swarm command/],
  ] as const) {
    const result = await manager.exec(['swarm', ...args]);
    t.is(result.code, 1, args.join(' '));
    t.regex(result.stderr, expected);
  }
});

test.serial('a second init and a member’s join say that the node is in a swarm', async (t) => {
  const again = await manager.exec(['swarm', 'init']);
  t.is(again.code, 1);
  t.regex(again.stderr, /already part of a swarm/);
  t.is((await cluster.nodes()).length, 1);
});

async function residentBytes(host: Host): Promise<number> {
  const out = await host.must([
    'sh',
    '-c',
    `awk '/VmRSS/ {print $2}' /proc/$(pgrep -f 'swarm.js daemon' | head -1)/status`,
  ]);
  return Number(out.trim()) * 1024;
}
