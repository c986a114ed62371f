import type { TestFn } from 'ava';
import { Cluster, type Host, Lab, type LabRuntime, until } from '../lab/index.js';

const PORT = 8080;
const TASKS = 5;
/** χ² with four degrees of freedom: larger once in 1,000 times. */
const CHI_SQUARE_LIMIT = 18.47;
const DRAWS = 400;
/** Longest connect while a node is silent: four attempts of a client, a second apart, and a busy machine. */
const SILENT_LIMIT_MS = 5_000;

/** Connects to two nodes from one source port, at the same time, and prints whether both answer. */
const ONE_SOURCE_PORT = `
const { connect } = require('node:net');
const [path, port, ...hosts] = process.argv.slice(1);
const ask = (host) => new Promise((resolve, reject) => {
  const socket = connect({ host, port: Number(port), localPort: 41000 }, () =>
    socket.write('GET ' + path + ' HTTP/1.0\\r\\n\\r\\n'));
  let text = '';
  socket.setTimeout(5000, () => reject(new Error('silent')));
  socket.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text)).on('error', reject);
});
Promise.all(hosts.map(ask)).then((texts) => console.log(texts.filter((t) => /200/.test(t)).length));
`;

/** Rows of the acceptance list that need real tasks on several hosts (docs/mesh-proof.md), with either runtime. */
export function acceptance(test: TestFn<unknown>, runtime: LabRuntime): void {
  let lab: Lab;
  let cluster: Cluster;
  let client: Host;

  test.before(async (t) => {
    t.timeout(240_000);
    lab = await Lab.up({ name: `acc-${runtime}`, managers: 1, workers: 2, clients: 1, runtime });
    cluster = new Cluster(lab);
    client = lab.host('c1');
    const extra = ['--restart-delay', '500ms', '--update-monitor', '500ms'];
    await cluster.createWeb('web', { replicas: TASKS, publish: `${PORT}:80`, extra });
    await known();
  });

  test.after.always(async (t) => {
    t.timeout(120_000);
    await lab?.down();
  });

  /** Waits until every node leads to every task. */
  async function known(tasks = TASKS): Promise<void> {
    await cluster.untilRunning('web', tasks);
    for (const target of cluster.addresses) {
      await until(`all tasks answer on ${target}`, async () => {
        const seen = await cluster.request(client, { port: PORT, requests: 60, targets: [target] });
        return Object.keys(seen.tasks).length === tasks && seen.failures === 0;
      });
    }
  }

  function update(...flags: string[]): Promise<string> {
    return cluster.manager.must(['swarm', 'service', 'update', '-d', ...flags, 'web']);
  }

  test.serial(
    `${runtime}: 1, 2 and 4: every node leads to every task, evenly, with the client's address`,
    async (t) => {
      for (const target of cluster.addresses) {
        const seen = await cluster.request(client, {
          port: PORT,
          requests: DRAWS,
          targets: [target],
        });
        t.is(seen.failures, 0, JSON.stringify(seen.errors));
        t.deepEqual(seen.clients, { [client.address]: DRAWS });
        const counts = Object.values(seen.tasks);
        t.is(counts.length, TASKS);
        const expected = DRAWS / TASKS;
        const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
        t.true(chi < CHI_SQUARE_LIMIT, `χ² is ${chi.toFixed(1)}: ${counts.join()}`);
      }
    },
  );

  test.serial(`${runtime}: 3: a client may use one source port towards two nodes`, async (t) => {
    for (const hosts of [
      ['m1', 'w1'],
      ['w1', 'w2'],
    ]) {
      const addresses = hosts.map((name) => lab.host(name).address);
      const command = [process.execPath, '-e', ONE_SOURCE_PORT, cluster.webPath, String(PORT)];
      // The port of before may wait for its last packets.
      const answered = await until('the port is free', async () =>
        (await client.must([...command, ...addresses])).trim(),
      );
      t.is(answered, '2');
    }
  });

  test.serial(`${runtime}: 10: a task killed with SIGKILL refuses nobody`, async (t) => {
    t.timeout(120_000);
    const load = cluster.load(client, { port: PORT, pauseMs: 20 });
    const task = (await cluster.running('web'))[0]!;
    const node = (await cluster.nodes()).find(({ ID }) => ID === task.NodeID)!;
    const script = `kill -KILL $(grep -lz '^TASK=${task.ID}$' /proc/[0-9]*/environ | cut -d/ -f3)`;
    await cluster.hostOf(node).must(['sh', '-c', script]);
    await until('it is replaced', async () => {
      const tasks = await cluster.running('web');
      return tasks.length === TASKS && tasks.every(({ ID }) => ID !== task.ID);
    });
    const seen = await load.stop();
    const refused = Object.keys(seen.errors).filter((error) => error.endsWith('ECONNREFUSED'));
    t.deepEqual(refused, []);
    t.true(seen.failures <= 4, `only requests that it had: ${JSON.stringify(seen.errors)}`);
  });

  test.serial(`${runtime}: 11: a node without power costs others a moment`, async (t) => {
    t.timeout(180_000);
    await known();
    const targets = ['m1', 'w2'].map((name) => lab.host(name).address);
    const load = cluster.load(client, { port: PORT, targets, pauseMs: 20 });
    const isBehind = (await cluster.running('web')).length;
    await lab.kill('w1');
    await until('its tasks run elsewhere', async () => {
      const { ID } = (await cluster.nodes()).find((each) => cluster.hostOf(each).name === 'w1')!;
      const tasks = await cluster.running('web');
      return tasks.length === isBehind && tasks.every(({ NodeID }) => NodeID !== ID);
    });
    const seen = await load.stop();
    t.log(`${seen.requests} requests, ${seen.failures} failed, max ${seen.maxMs.toFixed(0)} ms`);
    // As many as there were connections that the node had.
    t.true(seen.failures <= 4, JSON.stringify(seen.errors));
    t.true(seen.maxMs <= SILENT_LIMIT_MS, `${seen.maxMs} ms`);
    await lab.start('w1');
  });

  test.serial(`${runtime}: 6: one replica, updated start-first, fails no request`, async (t) => {
    t.timeout(180_000);
    await update('--replicas', '1');
    await known(1);
    const load = cluster.load(client, { port: PORT, pauseMs: 10 });
    await update('--env-add', 'VERSION=2', '--update-order', 'start-first');
    await until('it is updated', async () => {
      const { UpdateStatus } = await cluster.service('web');
      return UpdateStatus?.State === 'completed';
    });
    const seen = await load.stop();
    t.is(seen.failures, 0, JSON.stringify(seen.errors));
    t.true((seen.versions['2'] ?? 0) > 0, JSON.stringify(seen.versions));
  });

  test.serial(
    `${runtime}: 12 and 14: a port without tasks refuses at once, and another service may have it`,
    async (t) => {
      await update('--replicas', '0');
      await until('all nodes refuse', async () => {
        const seen = await cluster.request(client, { port: PORT, requests: 12, timeoutMs: 2_000 });
        const errors = Object.keys(seen.errors);
        return seen.failures === 12 && errors.every((error) => error.endsWith('ECONNREFUSED'));
      });
      await cluster.manager.must(['swarm', 'service', 'rm', 'web']);
      await until('the port is free', async () => {
        await cluster.createWeb('web', { replicas: 2, publish: `${PORT}:80` });
        return true;
      });
      await known(2);
      t.pass();
    },
  );
}
