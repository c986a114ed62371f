import test from 'ava';
import { firewallCommands, firewallNote, type ForeignFirewall } from '../src/index.js';

const place = { dataPathPort: 4790, listenPort: 2400 };
const firewall = (more: Partial<ForeignFirewall>): ForeignFirewall => ({
  Kind: 'other',
  Table: 'inet filter',
  Hooks: ['input', 'forward'],
  ...more,
});

test('what a firewall drops is said with its table', (t) => {
  t.is(
    firewallNote(firewall({ Kind: 'ufw', Table: 'ip filter' })),
    'ufw (table ip filter) drops incoming and forwarded packets that no rule of it accepts',
  );
  t.is(
    firewallNote(firewall({ Hooks: ['forward'] })),
    'a firewall (table inet filter) drops forwarded packets that no rule of it accepts',
  );
});

test('commands name the ports of this cluster, and only what the firewall stops', (t) => {
  const ufw = firewallCommands(firewall({ Kind: 'ufw', Hooks: ['input'] }), place);
  t.deepEqual(ufw, ['ufw allow 2400/tcp', 'ufw allow 4790/udp', 'ufw allow in on swarm-vxlan']);
  const routes = firewallCommands(firewall({ Kind: 'ufw', Hooks: ['forward'] }), place);
  t.deepEqual(routes.length, 4);
  t.true(routes.every((line) => line.startsWith('ufw route allow ')));
  const firewalld = firewallCommands(firewall({ Kind: 'firewalld' }), place);
  t.is(firewalld[0], 'firewall-cmd --permanent --add-port=2400/tcp --add-port=4790/udp');
  t.is(firewalld.at(-1), 'firewall-cmd --reload');
  const docker = firewallCommands(firewall({ Kind: 'docker', Hooks: ['forward'] }), place);
  t.is(docker.length, 4);
  t.true(
    docker.every((line) => / \|\| iptables -I DOCKER-USER /.test(line)),
    'may be repeated',
  );
  const other = firewallCommands(firewall({ Hooks: ['forward'] }), place);
  t.false(other.join('\n').includes('4790'));
});
