import test from 'ava';
import { cidr, peer } from './support/checked.js';
import { DnatSection } from '../src/balancer/nftables/dnat-section.js';
import { HostPortSection } from '../src/balancer/nftables/host-port-section.js';
import { IsolationSection } from '../src/links/isolation-section.js';
import { referredChains, skeleton } from '../src/table/ruleset.js';
import { timeoutTable } from '../src/table/timeout-table.js';
import { PeerSection } from '../src/tunnel/peer-section.js';

const sections = [
  new HostPortSection(),
  new PeerSection(),
  new DnatSection(),
  new IsolationSection(),
];
const place = {
  self: peer(2),
  ingressNetwork: cidr('10.240.0.0/12'),
  dataPathPort: 4790,
  family: 'inet' as const,
};
const text = skeleton(sections, place);

/** Lines of a chain, without its hook. */
function chain(name: string): string[] {
  const body = new RegExp(`chain ${name} \\{([^}]*(?:\\{[^}]*\\}[^}]*)*?)\\n  \\}`).exec(text)?.[1];
  return (body ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('type '));
}

test('a connection is drawn by slot; a suspected endpoint is drawn again, four times', (t) => {
  t.deepEqual(chain('draw_narrow_1'), [
    'meta mark set numgen random mod 60',
    'meta mark set meta l4proto . th dport . meta mark map @slots',
    'meta mark @suspects goto draw_narrow_2',
    'goto take',
  ]);
  t.deepEqual(chain('draw_wide_5'), [
    'meta mark set numgen random mod 840',
    'meta mark set meta l4proto . th dport . meta mark map @slots',
    'goto take',
  ]);
});

test('the packet loses our mark once its endpoint is chosen', (t) => {
  t.deepEqual(chain('take').slice(0, 2), ['ct mark set meta mark', 'meta mark set 0']);
});

test('only packets of known nodes come out of the tunnel', (t) => {
  t.is(chain('received')[0], 'udp dport 4790 @th,96,24 4096 ip saddr != @underlay drop');
});

test('replies leave by the node the connection came in by', (t) => {
  t.true(
    chain('origin').includes(
      'ip saddr 10.240.2.0/24 iifname != "swarm-vxlan" ct direction reply ct mark & 0xfff00000 != 0 meta mark set ct mark',
    ),
  );
});

test('no rule names a service, so nothing but elements changes with them', (t) => {
  t.notRegex(text, /dport \d+ (?!@th)/);
});

test('each chain the check asks for is referred to by a rule', (t) => {
  for (const name of referredChains(sections, place)) {
    t.regex(text, new RegExp(`(jump|goto) ${name}\\n`), name);
    t.not(chain(name).length, 0, name);
  }
});

test('the limits of connections are in a table that no rewrite deletes, and cover every state', (t) => {
  const limits = timeoutTable(place.ingressNetwork, place.family);
  t.notRegex(limits, /^delete/m);
  t.notRegex(text, /ct timeout/);
  const policies = [...limits.matchAll(/policy = \{ (.*?) \}/g)].map(([, policy]) => policy!);
  t.is(policies.length, 4, 'two of each family');
  for (const policy of policies) {
    const seconds = new Map(
      policy
        .split(', ')
        .map((one) => one.split(' : '))
        .map(([state, s]) => [state, Number(s)]),
    );
    t.is(seconds.size, 10, 'a state without a limit would take the host’s');
    // A day silent, and more than an hour half-closed.
    for (const state of ['established', 'close_wait']) t.true(seconds.get(state)! > 86_400, state);
    // An end that retransmits pauses for up to 120 s.
    for (const state of ['fin_wait', 'last_ack', 'retrans', 'unack']) {
      t.true(seconds.get(state)! > 120, state);
    }
  }
});
