import { PassThrough } from 'node:stream';
import { ApiError, type LogLine, type LogOptions } from '@swarm/api';
import { settle, VirtualClock } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import {
  LEADERLESS_LIMITS_MS,
  LEADERLESS_NOTICE_MS,
  SILENCE_LIMIT_MS,
} from '../../src/logbroker/limits.js';
import type { LogItem, LogRequest } from '../../src/logbroker/log-item.js';
import { leaderLogs, readLogRequest, writeLogFrame } from '../../src/logbroker/log-wire.js';
import { resumedLogs } from '../../src/logbroker/resumed-logs.js';
import { servingTask } from '../dispatcher/harness.js';
import { put } from '../support/objects.js';
import { START_MS } from '../support/start-time.js';
import { createTestStore } from '../support/test-store.js';

const FOLLOW: LogOptions = { follow: true, stdout: true, stderr: true, tail: 2 };

/** One leader's stream: what it sends, for how many milliseconds it is quiet, and how it ends. */
type Script = readonly (LogItem | Error | number)[];

const line = (taskId: string, position: string, more: Partial<LogLine> = {}): LogItem => ({
  type: 'line',
  nodeId: 'n1',
  line: {
    ...{ taskId, stream: 'stdout', timestamp: '2026-01-01T00:00:01Z', position },
    ...{ data: Buffer.from(`${taskId}${position}\n`), ...more },
  },
});
const gone = new ApiError('NO_QUORUM', 'this manager does not lead any more');

async function world(_t: ExecutionContext, scripts: Script[], options = FOLLOW) {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  for (const id of ['a', 'b']) await put(store, 'task', servingTask(id, 'n1'));
  const asked: LogRequest[] = [];
  const abort = new AbortController();
  const items: string[] = [];
  const logs = resumedLogs({
    request: { selector: { serviceIds: ['service'] }, options },
    ...{ view: store, clock, signal: abort.signal },
    async *open(request) {
      asked.push(request);
      const script = scripts.shift() ?? [gone];
      for (const item of script) {
        if (item instanceof Error) throw item;
        if (typeof item === 'number')
          await new Promise<void>((resolve) => clock.setTimeout(resolve, item));
        else yield item;
      }
    },
  });
  let outcome: unknown = 'goes on';
  const reading = (async () => {
    for await (const item of logs) {
      if (item.type === 'line') items.push(Buffer.from(item.line.data).toString().trim());
      else items.push(item.type === 'notice' ? item.message : item.type);
    }
  })().then(
    () => {
      outcome = 'end';
    },
    (error) => {
      outcome = error;
    },
  );
  await settle();
  return { clock, store, asked, items, abort, reading, outcome: () => outcome };
}

test('the next leader is asked from where the last one broke off', async (t) => {
  const { clock, asked, items, outcome } = await world(t, [
    [{ type: 'open' }, line('a', '1'), line('a', '2'), line('late', '1'), gone],
    [gone],
    [new ApiError('TIMEOUT', 'the leader could not be reached')],
    [{ type: 'open' }, line('a', '3')],
  ]);
  await clock.advance(1_000);
  t.deepEqual(items, ['open', 'a1', 'a2', 'late1', 'a3']);
  t.is(outcome(), 'end');
  t.is(asked[0]?.resume, undefined);
  const timestamp = '2026-01-01T00:00:01Z';
  t.deepEqual(asked.at(-1)?.resume, [
    { taskId: 'a', stdout: { timestamp, pieces: 2, position: '2' } },
    // It was there at the start: the request's own tail still counts for it.
    { taskId: 'b' },
    { taskId: 'late', stdout: { timestamp, pieces: 1, position: '1' } },
  ]);
  t.deepEqual(asked.at(-1)?.options, FOLLOW);
});

test('a leader that opens and breaks off at once is asked less and less often, and given up', async (t) => {
  const scripts: Script[] = Array.from({ length: 2_000 }, () => [{ type: 'open' }, gone]);
  const { clock, asked, outcome } = await world(t, scripts, { ...FOLLOW, follow: false });
  await clock.advance(10_000);
  t.true(asked.length < 20, `${asked.length}`);
  await clock.advance(LEADERLESS_LIMITS_MS.once);
  t.is(outcome(), gone);
});

test('a mark moves the place of a stream and not its count', async (t) => {
  const mark = { data: Buffer.alloc(0), partial: true, stream: 'stderr' as const };
  const { clock, asked } = await world(t, [
    [
      { type: 'open' },
      line('a', '7', mark),
      line('a', '2', { stream: 'stderr' }),
      line('a', '9', mark),
      gone,
    ],
  ]);
  await clock.advance(100);
  t.deepEqual(asked[1]?.resume?.[0]?.stderr, {
    timestamp: '2026-01-01T00:00:01Z',
    pieces: 1,
    position: '9',
  });
});

test('a follower hears once that there is no leader, and waits for ten minutes at most', async (t) => {
  const { clock, items, outcome } = await world(t, [[{ type: 'open' }, gone]]);
  await clock.advance(LEADERLESS_NOTICE_MS + 1_000);
  t.deepEqual(items, ['open', 'the cluster has no leader: the log goes on when it has one']);
  await clock.advance(LEADERLESS_LIMITS_MS.follow - LEADERLESS_NOTICE_MS - 2_000);
  t.is(outcome(), 'goes on');
  await clock.advance(3_000);
  t.is(outcome(), gone);
  t.is(items.length, 2);
});

test('a quiet stream has all its time again when its leader is gone', async (t) => {
  const quietMs = 10 * LEADERLESS_LIMITS_MS.once;
  const options = { ...FOLLOW, follow: false };
  const { clock, outcome } = await world(t, [[{ type: 'open' }, quietMs, gone]], options);
  await clock.advance(quietMs + LEADERLESS_LIMITS_MS.once - 1_000);
  t.is(outcome(), 'goes on');
  await clock.advance(3_000);
  t.is(outcome(), gone);
});

test('before it has begun, a stream waits for a leader no longer than other requests', async (t) => {
  const { clock, outcome } = await world(t, []);
  await clock.advance(LEADERLESS_LIMITS_MS.first + 1_000);
  t.is(outcome(), gone);
});

test('any other error ends the stream, and so does its reader', async (t) => {
  const refused = new ApiError('OVERLOADED', '64 logs are being read');
  const one = await world(t, [[refused]]);
  t.is(one.outcome(), refused);
  const two = await world(t, [[{ type: 'open' }, gone]]);
  two.abort.abort();
  await two.clock.advance(1_000);
  t.is(two.outcome(), 'end');
});

test('places of removed tasks are forgotten', async (t) => {
  const many = Array.from({ length: 5_000 }, (_, at) => line(`gone${at}`, '1'));
  const { clock, asked } = await world(t, [[{ type: 'open' }, ...many, gone]]);
  await clock.advance(100);
  t.true(asked[1]!.resume!.length < 1_200, `${asked[1]?.resume?.length} places`);
});

// --- Between managers

async function received(body: PassThrough, clock: VirtualClock): Promise<unknown[]> {
  const found: unknown[] = [];
  try {
    for await (const item of leaderLogs(body, clock)) found.push(item);
  } catch (error) {
    found.push(error instanceof ApiError ? `${error.code}: ${error.message}` : error);
  }
  return found;
}

test('items come over from the leader however their bytes are cut, and end as it says', async (t) => {
  const items: LogItem[] = [
    { type: 'open' },
    line('a', '1'),
    line('a', '2', { partial: true }),
    { type: 'notice', message: 'node n1 is away', taskId: 'a' },
    { type: 'warning', message: 'incomplete' },
  ];
  const bytes = Buffer.concat(
    [...items, { type: 'alive' }, { type: 'end' }].map((item) => writeLogFrame(item as LogItem)),
  );
  for (const size of [1, 3, 50, bytes.length]) {
    const body = new PassThrough();
    for (let at = 0; at < bytes.length; at += size) body.write(bytes.subarray(at, at + size));
    t.deepEqual(await received(body, new VirtualClock(START_MS)), items, `${size} bytes`);
    t.true(body.destroyed);
  }
});

test('a leader that breaks off, reports an error or sends anything else is named', async (t) => {
  const clock = new VirtualClock(START_MS);
  const body = (...parts: Buffer[]) => {
    const stream = new PassThrough();
    for (const part of parts) stream.write(part);
    stream.end();
    return stream;
  };
  t.deepEqual(await received(body(writeLogFrame({ type: 'open' })), clock), [
    { type: 'open' },
    "TIMEOUT: the leader's log broke off: it ended early",
  ]);
  const error = writeLogFrame({ type: 'error', code: 'NO_QUORUM', message: 'stopped' });
  t.deepEqual(await received(body(error), clock), ['NO_QUORUM: stopped']);
  for (const junk of [Buffer.from('HTTP/1.1 400 Bad'), Buffer.from([0, 0, 0, 1, 0xc1])])
    t.regex(String((await received(body(junk), clock))[0]), /^TIMEOUT: the leader's log broke off/);
});

test('a leader that is silent counts as gone, one that gives signs of life does not', async (t) => {
  const clock = new VirtualClock(START_MS);
  const body = new PassThrough();
  const all = received(body, clock);
  for (let count = 0; count < 5; count += 1) {
    await clock.advance(SILENCE_LIMIT_MS - 1);
    body.write(writeLogFrame({ type: 'alive' }));
    await settle();
  }
  await clock.advance(SILENCE_LIMIT_MS);
  t.regex(String((await all)[0]), /^TIMEOUT: .*no sign of life/);
});

test('a request for logs is read strictly', (t) => {
  const request: LogRequest = {
    selector: { serviceIds: ['s'], taskIds: [] },
    options: FOLLOW,
    resume: [{ taskId: 'a', stdout: { timestamp: '2026-01-01T00:00:00Z', pieces: 1 } }],
  };
  t.deepEqual(readLogRequest(JSON.parse(JSON.stringify(request))), request);
  for (const bad of [undefined, {}, { ...request, options: {} }, { ...request, resume: [{}] }])
    t.is(t.throws(() => readLogRequest(bad), { instanceOf: ApiError })?.code, 'BAD_REQUEST');
});
