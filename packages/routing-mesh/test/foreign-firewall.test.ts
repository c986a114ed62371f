import { until, VirtualClock } from '@swarm/sim';
import { silentLogger } from '@swarm/api';
import test from 'ava';
import type { CommandLimits } from '../src/kernel/command.js';
import { FirewallWatch } from '../src/paths/firewall-watch.js';
import { foreignFirewalls } from '../src/table/foreign-firewall.js';
import { MeshCluster } from './lab/cluster.js';
import { labProblem } from './lab/lab.js';

const base = (table: string, hook: string, policy = 'accept', name = hook.toUpperCase()) => ({
  chain: { family: 'ip', table, name, hook, policy, prio: 0, type: 'filter' },
});
const chain = (table: string, name: string) => ({ chain: { family: 'ip', table, name } });
const listing = (...nftables: object[]) => JSON.stringify({ nftables });

test('Docker, ufw, firewalld and others are told apart', (t) => {
  const found = (...items: object[]) =>
    foreignFirewalls(listing(...items))?.map(({ Kind, Hooks }) => [Kind, ...Hooks]);
  t.deepEqual(found(base('filter', 'forward', 'drop'), chain('filter', 'DOCKER-USER')), [
    ['docker', 'forward'],
  ]);
  t.deepEqual(
    found(
      ...[base('filter', 'forward', 'drop'), base('filter', 'input', 'drop')],
      ...[chain('filter', 'DOCKER-USER'), chain('filter', 'ufw-before-input')],
    ),
    [['ufw', 'forward', 'input']],
    'ufw has the policies where both are',
  );
  t.deepEqual(found(base('firewalld', 'input'), base('firewalld', 'forward')), [
    ['firewalld', 'forward', 'input'],
  ]);
  t.deepEqual(found(base('mine', 'input', 'drop')), [['other', 'input']]);
  t.deepEqual(found(base('mine', 'output', 'drop'), base('mine', 'input')), []);
});

test('our own tables and other families do not count', (t) => {
  t.deepEqual(foreignFirewalls(listing(base('swarm_mesh', 'forward', 'drop'))), []);
  const bridge = { chain: { ...base('x', 'forward', 'drop').chain, family: 'bridge' } };
  t.deepEqual(foreignFirewalls(listing(bridge)), []);
});

test('what cannot be read is skipped, and a text that is no listing says nothing', (t) => {
  for (const text of ['', 'nft: syntax error', '{', '[]', 'null', '{"nftables":{}}']) {
    t.is(foreignFirewalls(text), undefined, text);
  }
  const odd = [null, 7, {}, { chain: null }, { chain: 'x' }, { chain: { family: 'ip', table: 7 } }];
  const text = JSON.stringify({ nftables: [...odd, base('mine', 'input', 'drop')] });
  t.is(foreignFirewalls(text)?.length, 1);
  const many = Array.from({ length: 99 }, (_, i) => base(`${i}${'x'.repeat(99)}`, 'input', 'drop'));
  const shown = foreignFirewalls(listing(...many))!;
  t.is(shown.length, 8);
  t.true(shown.every(({ Table }) => Table.length <= 64));
});

test('a firewall that comes later is found within a minute; a listing that fails changes nothing', async (t) => {
  const clock = new VirtualClock();
  let answer = (): string => listing();
  const asked: [readonly string[], CommandLimits | undefined][] = [];
  let changes = 0;
  const watch = new FirewallWatch({
    run: async (_program, args, _input, limits) => {
      asked.push([args, limits]);
      return answer();
    },
    clock,
    logger: silentLogger,
    changed: () => changes++,
  });
  watch.start();
  await clock.advance(0);
  t.deepEqual(watch.found, []);
  answer = () => listing(base('mine', 'input', 'drop'));
  await clock.advance(60_000);
  t.is(watch.found.length, 1);
  for (const fails of [() => 'half', () => assertFail()]) {
    answer = fails;
    await clock.advance(60_000);
    t.is(watch.found.length, 1);
  }
  answer = () => listing();
  await clock.advance(60_000);
  t.deepEqual(watch.found, []);
  t.is(changes, 2);
  for (const [args, limits] of asked) {
    t.deepEqual(args, ['-j', 'list', 'chains']);
    t.true(limits?.timeoutMs !== undefined && limits.outputBytes !== undefined);
  }
  watch.close();
  await clock.advance(300_000);
  t.is(asked.length, 5);
});

function assertFail(): never {
  throw new Error('nft: terminated by SIGSEGV');
}

if (labProblem() === undefined) {
  test('the chains of a real iptables are recognised, and rules of theirs stay', async (t) => {
    const cluster = await MeshCluster.nftables('f');
    try {
      const { lab, nodes } = cluster;
      lab.sh(
        nodes[0]!.netns,
        `iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -P FORWARD DROP
         iptables -A DOCKER-USER -m comment --comment "a rule" -j RETURN`,
      );
      lab.sh(
        nodes[1]!.netns,
        'iptables -N ufw-before-input; iptables -P INPUT DROP; iptables -A INPUT -p udp --dport 4789 -j ACCEPT',
      );
      const rules = () => nodes.map(({ netns }) => lab.sh(netns, 'iptables -S'));
      const before = rules();
      const firewalls = async (i: number) => (await nodes[i]!.agent.paths())?.Firewalls;
      for (const node of nodes) {
        await node.agent.close({ keep: false });
        await cluster.startMesh(node);
      }
      await until('both are found', async () => (await firewalls(0)) && (await firewalls(1)));
      t.deepEqual(await firewalls(0), [{ Kind: 'docker', Table: 'ip filter', Hooks: ['forward'] }]);
      t.deepEqual(await firewalls(1), [{ Kind: 'ufw', Table: 'ip filter', Hooks: ['input'] }]);
      t.is(await firewalls(2), undefined);
      t.deepEqual(rules(), before);
    } finally {
      await cluster.close();
    }
  });
}
