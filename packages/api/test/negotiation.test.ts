import test from 'ava';
import fc from 'fast-check';
import {
  dispatcherProtocol,
  dispatcherProtocols,
  featureLevelProblem,
  formatWindow,
  highestCommon,
  type ManagerMessage,
  offeredProtocols,
  parseWindow,
  PROGRAM,
  protocolProblem,
} from '../src/index.js';
import { inProtocol } from '../src/wire/index.js';

const windows = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 3 }))
  .map(([Oldest, more]) => ({ Oldest, Newest: Oldest + more }));

test('two programs speak the highest protocol that both have, whichever asks', (t) => {
  fc.assert(
    fc.property(windows, windows, (one, other) => {
      const common = [];
      for (let each = one.Oldest; each <= one.Newest; each += 1) {
        if (each >= other.Oldest && each <= other.Newest) common.push(each);
      }
      t.is(highestCommon(one, other), common.at(-1));
      t.is(highestCommon(other, one), common.at(-1));
    }),
  );
});

test('this program understands the version before it', (t) => {
  const { Protocol, FeatureLevel } = PROGRAM;
  for (const { Oldest, Newest } of [Protocol, FeatureLevel]) t.true(Newest - Oldest <= 1);
  const before = { Oldest: Protocol.Oldest, Newest: Protocol.Newest - 1 };
  t.is(highestCommon(Protocol, before), Protocol.Newest - 1);
});

test('a window is read as it was written; who names none speaks protocol 1', (t) => {
  fc.assert(
    fc.property(windows, (window) => {
      t.deepEqual(parseWindow(formatWindow(window)), window);
      t.deepEqual(offeredProtocols(dispatcherProtocols(window)), window);
    }),
  );
  t.deepEqual(parseWindow(undefined), { Oldest: 1, Newest: 1 });
  t.deepEqual(offeredProtocols([]), { Oldest: 1, Newest: 1 });
  for (const bad of ['', '1', '2-1', '0-1', '1-2-3', '1-99999999', 'a-b', ['1-2', '1-2']]) {
    t.is(parseWindow(bad), undefined, String(bad));
  }
});

test('the oldest protocol is offered first: a manager without subprotocols takes the first one', (t) => {
  t.deepEqual(dispatcherProtocols({ Oldest: 1, Newest: 3 }), [
    'swarm.dispatcher.1',
    'swarm.dispatcher.2',
    'swarm.dispatcher.3',
  ]);
});

test('what is no protocol of the dispatcher is not taken for one', (t) => {
  t.is(dispatcherProtocol('swarm.dispatcher.7'), 7);
  t.is(dispatcherProtocol(''), 1);
  for (const other of ['chat', 'swarm.dispatcher.', 'swarm.dispatcher.x', 'xswarm.dispatcher.1']) {
    t.is(dispatcherProtocol(other), undefined);
    t.is(offeredProtocols([other]), undefined);
  }
  t.deepEqual(offeredProtocols(['chat', 'swarm.dispatcher.3']), { Oldest: 3, Newest: 3 });
});

test('a refusal says which side to upgrade', (t) => {
  const old = { name: 'node a', protocols: { Oldest: 1, Newest: 2 } };
  const young = { name: 'the manager at m1', protocols: { Oldest: 4, Newest: 5 } };
  const sentence =
    'speaks protocols 1 to 2, the manager at m1 protocols 4 to 5: upgrade node a first';
  t.is(protocolProblem(old, young), `node a ${sentence}`);
  t.is(
    protocolProblem(young, old),
    'the manager at m1 speaks protocols 4 to 5, node a protocols 1 to 2: upgrade node a first',
  );
  const program = { ...PROGRAM, Version: '3.0.0', FeatureLevel: { Oldest: 3, Newest: 4 } };
  t.is(featureLevelProblem('this node', program, 3), undefined);
  t.is(featureLevelProblem('this node', program, 4), undefined);
  t.is(
    featureLevelProblem('this node', program, 5),
    'the cluster is at feature level 5, and this node runs swarm 3.0.0, which understands levels up to 4: upgrade this node first',
  );
  t.is(
    featureLevelProblem('this node', program, 2),
    'the cluster is at feature level 2, and this node runs swarm 3.0.0, which needs level 3 or above: upgrade all managers to a version in between first',
  );
});

test('protocol 1 does not tell agents the feature level', (t) => {
  const welcome = { type: 'welcome', sessionId: 's', featureLevel: 2 } as unknown as ManagerMessage;
  t.deepEqual(inProtocol(1, welcome), { type: 'welcome', sessionId: 's' });
  t.is(inProtocol(2, welcome), welcome);
  const node = { type: 'node', managers: [], featureLevel: 2 } as unknown as ManagerMessage;
  t.deepEqual(inProtocol(1, node), { type: 'node', managers: [] });
  const other: ManagerMessage = { type: 'status-ack', sequence: 1 };
  t.is(inProtocol(1, other), other);
});
