import type { IncomingMessage } from 'node:http';
import test from 'ava';
import { type ApiClient, DaemonError, type Query } from '../src/client/api-client.js';
import { followLog } from '../src/client/log-follower.js';
import { NotALogError } from '../src/client/log-frames.js';

type Reply = readonly (string | Error)[] | Error;

/** Reads a log from daemons whose replies are told, on a clock that only pauses move. */
async function read(replies: Reply[][], follow = true) {
  const asked: [number, Query | undefined][] = [];
  const mentions: string[] = [];
  const items: string[] = [];
  let nowMs = 0;
  const clients = replies.map((own, at) => ({
    async stream(_path: string, query?: Query) {
      asked.push([at, query]);
      const reply = own.shift() ?? new Error('connect ECONNREFUSED');
      if (reply instanceof Error) throw reply;
      return { reply, headers: { date: 'Thu, 01 Jan 2026 00:00:00 GMT' }, destroy() {} };
    },
  }));
  const outcome = await (async () => {
    for await (const item of followLog({
      clients: async () => clients as unknown as ApiClient[],
      ...{ path: '/services/s/logs', query: { tail: 'all' }, follow },
      resume: (begun) => ({ since: begun, items: items.length }),
      async *decode(response: IncomingMessage) {
        const { reply } = response as unknown as { reply: readonly (string | Error)[] };
        for (const part of reply) {
          if (part instanceof Error) throw part;
          yield part;
        }
      },
      mention: (message) => mentions.push(message),
      time: {
        now: () => nowMs,
        async pause(ms) {
          nowMs += ms;
        },
      },
    }))
      items.push(item);
    return 'end';
  })().catch((error: Error) => error.message);
  return { asked, mentions, items, outcome, nowMs };
}

const BROKEN = new Error('aborted');

test('a log that broke off goes on with the next manager', async (t) => {
  const done = await read([
    [['a', BROKEN]],
    [new DaemonError(503, 'no leader'), ['c']],
    [['b', BROKEN]],
  ]);
  t.deepEqual([done.items, done.outcome, done.mentions], [['a', 'b', 'c'], 'end', []]);
  t.deepEqual(
    done.asked.map(([at]) => at),
    [0, 1, 2, 0, 1],
  );
  t.deepEqual(done.asked[1]?.[1], { since: '2026-01-01T00:00:00.000Z', items: 1 });
});

test('after a minute without a daemon it ends with the error, which was mentioned once', async (t) => {
  const done = await read([[['a', BROKEN]]]);
  t.is(done.outcome, 'connect ECONNREFUSED');
  t.deepEqual(done.mentions, ['the log broke off (connect ECONNREFUSED): connecting again']);
  t.true(done.nowMs >= 60_000 && done.nowMs < 65_000);
});

test('what was followed and is gone has ended', async (t) => {
  const done = await read([[['a', BROKEN], new DaemonError(404, 'no such service')]]);
  t.is(done.outcome, 'end');
});

test('other refusals, replies that are no log, and logs that are not followed are not tried again', async (t) => {
  t.is((await read([[['a', BROKEN], new DaemonError(403, 'denied')]])).outcome, 'denied');
  t.is((await read([[['a', new NotALogError('no log')]]])).outcome, 'no log');
  t.is((await read([[['a', BROKEN]]], false)).outcome, 'aborted');
  t.is((await read([[new DaemonError(503, 'no leader')]])).outcome, 'no leader');
});
