import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer, get } from 'node:https';
import { connect } from 'node:net';
import { type Clock, silentLogger, systemClock, type Timer } from '@swarm/api';
import { tlsServerOptions } from '@swarm/identity';
import { RefusalLog } from '@swarm/manager/assembly';
import { identity, root } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import { ConnectionBudgets, limitsFor } from '../../src/port/connection-budgets.js';
import { ANSWERS_LIMIT_MS, FrontDoor } from '../../src/port/front-door.js';

/** A port with a node's request on it, whose answer the test gives. */
async function askedPort(t: ExecutionContext) {
  const authority = await root(Date.now());
  const own = await identity(authority, Date.now(), { nodeId: 'leader', role: 'manager' });
  /** Ends the wait for answers. */
  let pass: (() => void) | undefined;
  const real = systemClock();
  const clock: Clock = {
    ...real,
    setTimeout(callback: () => void, ms: number): Timer {
      if (ms === ANSWERS_LIMIT_MS) pass = callback;
      return real.setTimeout(callback, ms === ANSWERS_LIMIT_MS ? 60_000 : ms);
    },
  };
  const asked: ServerResponse[] = [];
  const server = createServer(tlsServerOptions(own), (request, response) => {
    if (door.request(request, response)) asked.push(response);
  });
  const door = new FrontDoor({
    server,
    budgets: new ConnectionBudgets(limitsFor(10_000)),
    addresses: { roleAt: () => undefined, see: () => {} },
    clock,
    refusals: new RefusalLog(silentLogger, clock),
    prove: () => ({ nodeId: 'follower', role: 'manager' }),
  });
  await door.listen('127.0.0.1', 0);
  const { port } = door;
  const answer = (async () => {
    const call = get({ port, host: '127.0.0.1', agent: false, rejectUnauthorized: false });
    const [reply] = await once(call, 'response');
    let text = '';
    for await (const chunk of reply as AsyncIterable<Buffer>) text += chunk.toString();
    return text;
  })();
  answer.catch(() => {});
  t.teardown(async () => {
    const closing = door.close();
    pass?.();
    await closing;
  });
  await until('the request has arrived', () => asked.length === 1);
  return { door, port, response: asked[0]!, answer, pass: () => pass!() };
}

test('a node whose request has arrived gets its answer while the port closes', async (t) => {
  const { door, port, response, answer } = await askedPort(t);
  const closing = door.close();
  const late = connect(port, '127.0.0.1');
  const [error] = await once(late, 'error');
  t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED', 'nobody new comes in');
  response.end('stored');
  t.is(await answer, 'stored');
  await t.notThrowsAsync(closing);
});

test('a node that gets no answer in time is cut', async (t) => {
  const { door, answer, pass } = await askedPort(t);
  const closing = door.close();
  pass();
  await closing;
  await t.throwsAsync(answer, { code: 'ECONNRESET' });
});

test('a port at which nobody waits closes at once', async (t) => {
  const { door, response, answer } = await askedPort(t);
  response.end('stored');
  await answer;
  await t.notThrowsAsync(door.close());
});
