import test from 'ava';
import { command } from './support/fake-daemon.js';

const INFO = { Name: 'h1', Swarm: { NodeID: 'node1aaaa', NodeAddr: '192.0.2.1' } };
const OUTCOME = {
  Probability: 0.5,
  Fate: 'task',
  Address: '10.0.1.11',
  Port: 5432,
  Source: '10.0.1.10',
  TaskID: 'task2',
  NodeID: 'node1aaaa',
  Rules: ['dispatch: goto vip_narrow'],
};
const TRACE = {
  NodeID: 'node1aaaa',
  Backend: 'nftables',
  Generation: 12,
  TableAsWritten: true,
  Outcomes: [OUTCOME, { ...OUTCOME, Address: '10.0.1.12', NodeID: 'node2' }],
};
const attached = (id: string, address: string) => ({
  ID: id,
  Status: { State: 'running' },
  NetworksAttachments: [{ Network: { ID: 'net1' }, Addresses: [`${address}/24`] }],
});
const ANSWERS = {
  'GET /info': INFO,
  'GET /x/mesh/trace': TRACE,
  'GET /tasks/web.1': attached('task1', '10.0.1.10'),
  'GET /services/db': {
    ID: 'db1',
    Endpoint: {
      VirtualIPs: [{ NetworkID: 'net1', Addr: '10.0.1.2/24' }],
      Ports: [{ Protocol: 'tcp', TargetPort: 5432, PublishedPort: 15432 }],
    },
  },
};
const asked = (outcome: Awaited<ReturnType<typeof command>>) => {
  const found = outcome.asked.find(({ path }) => path === '/x/mesh/trace');
  return found === undefined ? undefined : { ...found.query };
};

test('a task and a service of one network meet at the virtual address', async (t) => {
  const outcome = await command(t, ANSWERS, 'mesh', 'trace', '--from', 'web.1', '--to', 'db:5432');
  t.is(outcome.code, 0, outcome.err);
  t.deepEqual(asked(outcome), {
    ...{ from: '10.0.1.10', to: '10.0.1.2', port: '5432', protocol: 'tcp' },
  });
  t.regex(outcome.out, /has the rules as written/);
  t.regex(outcome.out, /50\.0%\s+task\s+10\.0\.1\.11:5432\s+task2\s+this\s+10\.0\.1\.10/);
  t.regex(outcome.out, /10\.0\.1\.12:5432\s+task2\s+node2/);
  t.notRegex(outcome.out, /vip_narrow/);
});

test('a client outside meets the published port of this node', async (t) => {
  const line = ['mesh', 'trace', '--from', '192.0.2.77', '--udp', '--rules', '--to'];
  const service = await command(t, ANSWERS, ...line, 'db:5432');
  t.deepEqual(asked(service), {
    ...{ from: '192.0.2.77', to: '192.0.2.1', port: '15432', protocol: 'udp' },
  });
  t.regex(service.out, /dispatch: goto vip_narrow/);
  const port = await command(t, ANSWERS, ...line, ':8080');
  t.is(asked(port)!.port, '8080');
  t.is(asked(port)!.to, '192.0.2.1');
});

test('a refused connection is an exit code, and the reason is shown', async (t) => {
  const refused = { ...OUTCOME, Fate: 'rejected', Reason: 'the published port has no task' };
  const answers = {
    ...ANSWERS,
    'GET /x/mesh/trace': { ...TRACE, TableAsWritten: false, Outcomes: [refused] },
  };
  const outcome = await command(t, answers, 'mesh', 'trace', '--from', '192.0.2.7', '--to', ':80');
  t.is(outcome.code, 1);
  t.regex(outcome.out, /rejected: the published port has no task/);
  t.regex(outcome.out, /DOES NOT have the rules/);
});

test('mistakes say what to do', async (t) => {
  const fails = async (...line: string[]) => {
    const outcome = await command(t, ANSWERS, 'mesh', 'trace', ...line);
    t.not(outcome.code, 0);
    t.is(asked(outcome), undefined);
    return outcome.err;
  };
  t.regex(await fails('--from', 'web.1'), /--to is missing/);
  t.regex(await fails('--from', 'web.1', '--to', 'db'), /with a port, like web:80/);
  t.regex(await fails('--from', 'nobody', '--to', 'db:1'), /no task, service or node "nobody"/);
  const line = ['--from', 'web.1', '--to', 'db:5432', '--node', 'h2'];
  t.regex(await fails(...line), /only h1 can answer here.*Run this command on h2/);
  const answers = {
    ...ANSWERS,
    'GET /tasks/web.1': { status: 503, message: 'no', code: 'NOT_IN_SWARM' },
  };
  const worker = await command(t, answers, 'mesh', 'trace', '--from', 'web.1', '--to', 'db:5432');
  t.regex(worker.err, /not a manager and knows no names: use addresses/);
});
