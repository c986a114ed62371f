import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import { ResolverNames } from '../src/names/resolver-names.js';
import { noServiceNames } from '../src/names/service-names.js';
import { questionPlaces } from '../src/system/names/question-places.js';
import { systemResolver } from '../src/system/names/system-resolver.js';
import { namedTask, namesContract } from './contract/names-contract.js';
import { labProblem, MeshLab } from './lab/lab.js';
import type { NamesOrders } from './lab/names-agent.js';
import type { NamesAgent } from './lab/names-lab.js';

namesContract('no names', async () => ({ names: noServiceNames, task: namedTask }));

const problem = labProblem();
if (problem !== undefined) {
  test(`SKIPPED, the resolver is not tested: ${problem}`, (t) => t.pass());
} else {
  const lab = new MeshLab('nc');
  const folder = mkdtempSync(join(tmpdir(), 'swarm-names-contract-'));
  const resolvConf = join(folder, 'resolv.conf');
  writeFileSync(resolvConf, '');
  const agents = new Map<string, NamesAgent>();
  const paths = new Map<string, string>();
  const script = fileURLToPath(new URL('./lab/names-agent.js', import.meta.url));
  /** A socket's name has no room for such a path. */
  const FOLDER = 'x'.repeat(100);

  test.before(async () => {
    for (const taskId of ['task1', 'unknown']) {
      const path = lab.emptyNamespace(taskId);
      const netns = path.split('/').at(-1)!;
      lab.sh(netns, 'ip link set lo up');
      paths.set(taskId, path);
      agents.set(taskId, await lab.program<NamesOrders>(netns, script));
    }
  });
  test.after.always(async () => {
    await lab.close();
    await systemResolver({ folder: join(folder, FOLDER) }).kill();
    rmSync(folder, { recursive: true, force: true });
  });

  namesContract('resolver', async () => {
    const own = join(folder, FOLDER);
    const names = () =>
      new ResolverNames({
        resolver: systemResolver({ folder: own, resolvConf }),
        clock: systemClock(),
        logger: silentLogger,
      });
    return {
      names: names(),
      task: (taskId, networkIds, ownNames) =>
        namedTask(taskId, networkIds, ownNames, paths.get(taskId) ?? '/run/netns/nobody'),
      async find(taskId, name) {
        const { data } = await agents.get(taskId)!.ask({ name, timeoutMs: 1000 });
        return data;
      },
      next: async () => names(),
    };
  });

  test.serial('without koffi, a program makes the sockets and ends', async (t) => {
    const { path, agent } = { path: paths.get('task1')!, agent: agents.get('task1')! };
    const handles = () => readdirSync('/proc/self/fd').length;
    const before = handles();
    const sockets = await questionPlaces(undefined).open(path, (question, transport, reply) => {
      const answer = Buffer.from(question);
      answer[2]! |= 0x80;
      answer[3] = transport === 'tcp' ? 3 : 5;
      reply(answer);
    });
    t.is((await agent.ask({ name: 'x' })).rcode, 'REFUSED');
    t.is((await agent.ask({ name: 'x', transport: 'tcp' })).rcode, 'NXDOMAIN');
    t.true(await sockets.isIn(path));
    t.false(await sockets.isIn(paths.get('unknown')!));
    t.is(sockets.upstream, undefined);
    sockets.close();
    await t.throwsAsync(agent.ask({ name: 'x', timeoutMs: 300 }));
    t.true(handles() <= before + 1);
    await t.throwsAsync(
      questionPlaces(undefined).open('/run/netns/nobody', () => {}),
      { message: /nobody/ },
    );
  });
}
