import test from 'ava';
import { labProblem } from './lab/lab.js';
import { NamesLab, viewOf } from './lab/names-lab.js';

const problem = labProblem();
const lab = problem === undefined ? new NamesLab('nm') : undefined;
const network = (networkId: string, addresses: readonly string[], name = networkId) => ({
  networkId,
  addresses: addresses.map((each) => `${each}/32`),
  overlay: {
    networkId,
    name,
    subnets: ['10.0.0.0/16'],
    isInternal: false,
    isEncrypted: false,
  },
});

if (lab === undefined) {
  test(`SKIPPED, names are not tested in namespaces: ${problem}`, (t) => t.pass());
} else {
  test.before(() => lab.start());
  test.after.always(() => lab.close());

  test.serial(
    'a task finds services over UDP and TCP from the moment it is attached',
    async (t) => {
      const task = await lab.task();
      await lab.node.apply([
        viewOf({
          networkId: 'backend',
          services: [{ serviceId: 's1', names: ['db'], vips: ['10.0.1.2'] }],
        }),
      ]);
      await lab.node.attach({
        taskId: task.taskId,
        netns: task.path,
        attachments: [network('backend', ['10.0.1.7'])],
        names: ['web.1.x'],
      });
      for (const transport of ['udp', 'tcp'] as const) {
        const { data, rcode } = await task.agent.ask({ name: 'DB', transport });
        t.deepEqual([rcode, data], ['NOERROR', ['10.0.1.2']]);
      }
      t.deepEqual((await task.agent.ask({ name: 'web.1.x' })).data, ['10.0.1.7']);
      t.log(await task.agent.load('db', 32, 2));
      await lab.node.detach([task.taskId]);
      await t.throwsAsync(task.agent.ask({ name: 'db', timeoutMs: 300 }));
      t.deepEqual(await lab.node.notes(), []);
    },
  );
}
