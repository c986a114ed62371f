import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { ALL_RIGHTS, mayUse } from '@swarm/identity';
import test from 'ava';
import { LOCAL_ROUTES } from '../../src/api/local-api.js';
import { start } from './support/fake-node.js';

test('every route that a node answers itself has a row in the table of rights', (t) => {
  const rows = new Set<string>(ALL_RIGHTS);
  for (const { method, pattern } of LOCAL_ROUTES)
    t.true(rows.has(`${method} ${pattern}`), `${method} ${pattern}`);
});

/** Every route of the API except the node's own, with the names filled in. */
function routesOfManagers(): [method: string, path: string][] {
  const own = new Set(LOCAL_ROUTES.map(({ method, pattern }) => `${method} ${pattern}`));
  return ALL_RIGHTS.filter(
    (right) => mayUse('local', right) && !own.has(right) && /\//.test(right),
  ).map((right) => right.replaceAll(/\{\w+\}/g, 'x').split(' ') as [string, string]);
}

test('a worker answers every route of a manager that it is not one, and what to do', async (t) => {
  const api = await start({ manager: false });
  t.teardown(() => api.close());
  api.node.state = 'active';
  const routes = routesOfManagers();
  t.true(routes.length > 30);
  for (const [method, path] of routes) {
    const reply = await api.call(method, path);
    t.is(reply.status, 503, `${method} ${path}`);
    t.is(reply.headers['x-swarm-error-code'], 'NOT_IN_SWARM', `${method} ${path}`);
    t.regex(reply.message, /not a swarm manager.*Worker nodes can't be used/);
  }
  t.is((await api.call('POST', '/nodes')).status, 405);
  t.is((await api.call('GET', '/ca/root')).status, 404, 'that is for nodes, on their port');
});

test('the routes of a manager come and go with it', async (t) => {
  const api = await start({ manager: false });
  t.teardown(() => api.close());
  t.is((await api.call('GET', '/nodes')).status, 503);
  await api.node.becomeManager();
  t.is((await api.call('GET', '/nodes')).status, 200);
  const [events] = (await once(
    get({ socketPath: api.socketPath, path: '/events', agent: false }),
    'response',
  )) as [IncomingMessage];
  const ended = once(events.resume(), 'end');
  await api.node.leave({ force: true });
  t.is((await api.call('GET', '/nodes')).status, 503);
  t.is((await api.call('GET', '/info')).json.Swarm.Managers, undefined);
  api.server.serveManager(undefined);
  await t.notThrowsAsync(ended, 'streams of a manager end with it');
});

test('a node traces a connection for its own host, and says what is wrong with a question', async (t) => {
  const api = await start({ manager: false });
  t.teardown(() => api.close());
  const path = '/x/mesh/trace?from=198.18.0.9&to=198.18.0.1&port=';
  t.is((await api.call('GET', `${path}80`)).headers['x-swarm-error-code'], 'NOT_IN_SWARM');
  const asked: unknown[] = [];
  const trace = { NodeID: 'n1', Backend: 'nftables', Generation: 1, Outcomes: [] } as const;
  Object.assign(api.node, {
    async traceMesh(query: { from: string }, local: ReadonlySet<string>) {
      if (query.from === '198.18.0.66') throw new RangeError('ask on node n2');
      asked.push({ ...query, hasLoopback: local.has('127.0.0.1') });
      return trace;
    },
  });
  t.deepEqual((await api.call('GET', `${path}80&protocol=udp`)).json, trace);
  const query = { from: '198.18.0.9', to: '198.18.0.1', port: 80, protocol: 'udp' };
  t.deepEqual(asked, [{ ...query, hasLoopback: true }]);
  for (const [wrong, message] of [
    [`${path}0`, /port: "0" is not a port/],
    [`${path}80&protocol=icmp`, /protocol: "icmp" is not known: use tcp, udp, sctp/],
    ['/x/mesh/trace?from=web&to=198.18.0.1&port=80', /from: "web" is not an IP address/],
    ['/x/mesh/trace?from=198.18.0.66&to=198.18.0.1&port=80', /ask on node n2/],
  ] as const) {
    const reply = await api.call('GET', wrong);
    t.is(reply.status, 400);
    t.regex(reply.message, message);
  }
});
