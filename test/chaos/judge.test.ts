import test from 'ava';
import { ChaosJudge } from './judge.js';
import type { Failure, Outage, ServerNote } from './record.js';

const FAILURE: Failure = {
  client: 'outside',
  kind: 'one',
  entry: '198.18.0.11',
  id: 'outside-1',
  start: 10_000,
  connected: 10_001,
  end: 10_500,
  error: 'ECONNRESET',
};
const UP: ServerNote = { task: 't1', node: 'w1', at: 1_000, is: 'up' };
const GOT: ServerNote = { task: 't1', node: 'w1', at: 10_010, got: 'outside-1' };

function faults(
  failure: Partial<Failure>,
  history: {
    servers?: ServerNote[];
    killedAt?: number;
    outages?: Outage[];
    neverConnected?: boolean;
  } = {},
): number {
  const { servers = [UP], killedAt, outages = [], neverConnected = false } = history;
  const deaths = killedAt === undefined ? [] : [{ task: 't1', at: killedAt }];
  const nodeOf = { '198.18.0.11': 'm1', w1: 'w1' };
  const { connected, ...rest } = FAILURE;
  const known = neverConnected ? rest : { ...rest, connected };
  const judge = new ChaosJudge({ servers, deaths, outages, nodeOf });
  return judge.judge([{ ...known, ...failure } as Failure]).faults.length;
}

const outage = (node: string, from: number): Outage => ({
  node,
  led: false,
  from,
  back: from,
  to: from,
});

test('a request that fails for no reason is a fault', (t) => {
  t.is(faults({}), 1);
  t.is(faults({ error: 'ECONNREFUSED' }, { killedAt: 10_200, neverConnected: true }), 1);
});

test('a request may fail with the task that read it, or that had it unread', (t) => {
  t.is(faults({}, { servers: [UP, GOT], killedAt: 10_300 }), 0);
  t.is(faults({}, { killedAt: 10_300 }), 0);
  t.is(faults({}, { servers: [UP, GOT], killedAt: 20_000 }), 1, 'it was killed later');
  t.is(faults({}, { servers: [UP, GOT], killedAt: 5_000 }), 1, 'it was dead before');
});

test('a task that stops in order ends no request, but connections without end', (t) => {
  const stops: ServerNote = { task: 't1', node: 'w1', at: 10_100, is: 'stopping' };
  t.is(faults({}, { servers: [UP, GOT, stops] }), 1);
  t.is(faults({ kind: 'long', task: 't1' }, { servers: [UP, stops] }), 0);
  t.is(faults({ kind: 'long', task: 't1' }, { servers: [UP] }), 1);
});

test('what a client does through a node that is out is no fault', (t) => {
  t.is(faults({}, { outages: [outage('m1', 10_100)] }), 0);
  t.is(faults({}, { outages: [outage('w2', 10_100)] }), 1, 'another node');
});

test('a UDP flow may be silent until its node is known to be gone, and no longer', (t) => {
  const silent: Partial<Failure> = { kind: 'udp', task: 't1', end: 14_000 };
  t.is(faults(silent, { outages: [outage('w1', 10_100)] }), 0);
  t.is(faults({ ...silent, end: 30_000 }, { outages: [outage('w1', 10_100)] }), 1);
  t.is(faults({ ...silent, end: 11_500 }, { killedAt: 10_100 }), 0);
  t.is(faults({ ...silent, end: 13_500 }, { killedAt: 10_100 }), 1);
  t.is(faults(silent), 1);
});
