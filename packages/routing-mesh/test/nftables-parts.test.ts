import test from 'ava';
import { balancerContract } from './contract/balancer-contract.js';
import { linksContract } from './contract/links-contract.js';
import { probeContract } from './contract/probe-contract.js';
import { labProblem } from './lab/lab.js';
import { PartsLab } from './lab/parts-lab.js';

const problem = labProblem();

if (problem === undefined) {
  const opened = balancerContract(() => PartsLab.kernel('c', 'nftables'));
  linksContract(opened);
  probeContract(opened);

  test.serial(
    'a task is reached at each address of each network, and answers from it',
    async (t) => {
      const { lab, node } = opened();
      const task = await lab.task('dual');
      await task.agent.serve({ name: 'dual', port: 80 });
      lab.sh(node.netns, 'ip addr add fd00:1::1/128 dev lo nodad');
      await node.agent.link({
        taskId: 'dualtask',
        netns: task.path,
        attachments: [
          { networkId: 'first', addresses: ['10.240.1.60/32', '10.240.1.61/32', 'fd00:7::60/128'] },
          { networkId: 'second', addresses: ['10.240.1.62/32', 'fd00:7::62/128'] },
        ],
      });
      t.regex(lab.sh(task.netns, 'ip -o addr'), /eth1 +inet6 fd00:7::62\/128/);
      for (const host of [
        '10.240.1.60',
        '10.240.1.61',
        'fd00:7::60',
        '10.240.1.62',
        'fd00:7::62',
      ]) {
        t.is((await node.agent.ask({ host, port: 80, timeoutMs: 2000 })).task, 'dual', host);
      }
      const links = await node.agent.links();
      t.deepEqual(
        links
          .filter(({ taskId }) => taskId === 'dualtask')
          .flatMap(({ addresses }) => addresses)
          .sort(),
        ['10.240.1.60', '10.240.1.61', '10.240.1.62', 'fd00:7::60', 'fd00:7::62'],
      );
      await node.agent.unlink('dualtask');
      t.notRegex(lab.sh(node.netns, 'ip route; ip -6 route'), /10\.240\.1\.6|fd00:7/);
      await task.agent.stop();
    },
  );

  test.serial('an address that is not of the node’s block leaves nothing', async (t) => {
    const { node, lab } = opened();
    const { taskId, netns, address } = opened().place();
    const attachments = [
      { networkId: 'first', addresses: [`${address}/32`] },
      { networkId: 'second', addresses: ['10.240.2.9/32'] },
    ];
    await t.throwsAsync(node.agent.link({ taskId, netns, attachments }), {
      message: /10\.240\.2\.9, which is not in this node's block 10\.240\.1\.0\/24/,
    });
    t.notRegex(lab.sh(node.netns, 'ip -o link'), /swt/);
  });
} else {
  test(`SKIPPED, the parts of the nftables mesh are not tested: ${problem}`, (t) => {
    t.log(problem);
    t.pass();
  });
}
