import { DEFAULT_INGRESS } from '../src/ingress.js';
import { type Logger, silentLogger } from '@swarm/api';
import test from 'ava';
import { readAttachment } from '../src/attachment.js';
import { CommandError, type RunCommand } from '../src/kernel/command.js';
import { VethLinks } from '../src/links/veth-links.js';
import { peer } from './support/checked.js';
import { fakeKernel } from './support/fake-kernel.js';

const MTU_BYTES = 1450;

/** A host that keeps what it is told, without IPv6 if so asked. */
function host({ withoutIpv6 = false, listing = '[]', refusal = '' } = {}) {
  const told: string[] = [];
  const logged: string[] = [];
  const run: RunCommand = async (program, args, input = '') => {
    if (args.includes('-j')) return args.includes('veth') ? listing : '[]';
    if (withoutIpv6 && args.includes('-6')) throw new CommandError(program, 'RTNETLINK: no IPv6');
    told.push(...input.split('\n').filter((line) => line !== ''));
    if (refusal !== '' && input.startsWith('link del')) throw new CommandError(program, refusal);
    return '';
  };
  const logger: Logger = {
    ...silentLogger,
    warn: (_fields: object, message: string) => logged.push(message),
  };
  const links = new VethLinks({ kernel: fakeKernel(run), logger });
  links.start(peer(1), DEFAULT_INGRESS);
  return { links, told, logged };
}

const wishes = (...networks: string[][]) => ({
  ...readAttachment({
    taskId: 'task1',
    netns: '/run/netns/x',
    attachments: networks.map((addresses, i) => ({ networkId: `net${i}`, addresses })),
  }),
  mtuBytes: MTU_BYTES,
});

test('each network is a link with its addresses; the first of each family has the default route', async (t) => {
  const { links, told } = host();
  await links.attach(wishes(['10.240.1.2/32'], ['10.240.1.3/32', 'fd00::3/128']));
  t.deepEqual(
    told
      .filter((line) => /^link add|^addr add/.test(line))
      .map((line) => line.split(' ', 8).join(' ')),
    [
      'link add swttask1 address 02:01:0a:f0:01:02 mtu 1450 type',
      'addr add 10.240.1.2/32 dev eth0 scope global',
      'link add swttask1-1 address 02:01:0a:f0:01:03 mtu 1450 type',
      'addr add 10.240.1.3/32 dev eth1 scope global',
      'addr add fd00::3/128 dev eth1 nodad',
    ].map((line) => line.split(' ', 8).join(' ')),
  );
  t.deepEqual(
    told.filter((line) => line.startsWith('route replace default')),
    [
      'route replace default via 169.254.1.1 dev eth0 onlink src 10.240.1.2 table main',
      'route replace default via 169.254.1.1 dev eth1 onlink src 10.240.1.3 table 101',
      'route replace default via fe80::1 dev eth1 onlink src fd00::3 table main',
    ],
  );
  t.true(told.includes('rule add from 10.240.1.3 lookup 101'));
  t.false(told.some((line) => line.startsWith('rule add from fd00::3')));
  told.length = 0;
  const { taskId } = wishes(['10.240.1.2/32']);
  await links.detach(taskId);
  t.deepEqual(told, ['link del swttask1', 'link del swttask1-1']);
});

test('a kernel without IPv6 costs a task its IPv6 address, and the log says so', async (t) => {
  const { links, told, logged } = host({ withoutIpv6: true });
  await links.attach(wishes(['10.240.1.2/32', 'fd00::2/128']));
  t.true(told.includes('route replace 10.240.1.2/32 dev swttask1'));
  t.false(told.some((line) => line.startsWith('link del')));
  t.deepEqual(logged, ['the task gets no IPv6 address: the kernel rejected it']);
});

test('a link that would have no address at all is refused, and nothing of the task is left', async (t) => {
  const { links, told } = host({ withoutIpv6: true });
  await t.throwsAsync(links.attach(wishes(['10.240.1.2/32'], ['fd00::2/128'])), {
    instanceOf: CommandError,
  });
  t.deepEqual(told.slice(-2), ['link del swttask1', 'link del swttask1-1']);
});

test('a link that goes with its task’s namespace meanwhile is no failure', async (t) => {
  for (const refusal of ['Cannot find device "swttask1"', 'RTNETLINK answers: No such device']) {
    const { links } = host({ refusal });
    const wished = wishes(['10.240.1.2/32']);
    await links.attach(wished);
    await t.notThrowsAsync(links.detach(wished.taskId));
  }
  const { links } = host({ refusal: 'RTNETLINK answers: Operation not permitted' });
  const wished = wishes(['10.240.1.2/32']);
  await links.attach(wished);
  await t.throwsAsync(links.detach(wished.taskId), { instanceOf: CommandError });
});

test('a link of an earlier version has its task’s id alone, and goes with the others', async (t) => {
  const listing = JSON.stringify([
    { ifname: 'swttask1', ifalias: 'task1' },
    { ifname: 'swttask1-1', ifalias: 'task1:net1' },
    { ifname: 'eth0', ifalias: 'task1:net1' },
  ]);
  const { links, told } = host({ listing });
  const found = await links.list();
  t.deepEqual(
    found.map(({ taskId, networkId }) => [taskId, networkId] as unknown),
    [
      ['task1', undefined],
      ['task1', 'net1'],
    ],
  );
  await links.detach(found[0]!.taskId!);
  t.deepEqual(told, ['link del swttask1', 'link del swttask1-1']);
});

test('one address on two networks is refused before anything is made, by both names', async (t) => {
  const { links, told } = host();
  for (const address of ['10.240.1.2/32', 'fd00::2/128']) {
    await t.throwsAsync(links.attach(wishes([address], ['10.240.1.3/32', address])), {
      instanceOf: RangeError,
      message: /task task1 has the address (10\.240\.1\.2|fd00::2) on both net0 and net1/,
    });
  }
  t.deepEqual(told, []);
  await links.attach(wishes(['10.240.1.2/32'], ['10.240.1.3/32']));
  t.true(told.includes('route replace 10.240.1.3/32 dev swttask1-1'));
});

test('addresses that no task of this node can have are refused before anything is made', async (t) => {
  const { links, told } = host();
  for (const address of [
    '10.240.2.2/32',
    '10.240.1.1/32',
    '::1/128',
    'fe80::7/128',
    'ff02::1/128',
  ]) {
    await t.throwsAsync(links.attach(wishes(['10.240.1.2/32'], [address])), {
      instanceOf: RangeError,
    });
  }
  t.deepEqual(
    told.filter((line) => !line.startsWith('link del')),
    [],
  );
});
