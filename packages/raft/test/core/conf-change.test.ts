import test from 'ava';
import {
  type ConfChange,
  ConfChangeError,
  UnknownConfChangeError,
  ConfChangeOp,
  changeConf,
  decodeConfChange,
  EMPTY_CONF,
  encodeConfChange,
  isJoint,
  LEAVE_JOINT,
  type MemberChange,
} from '../../src/core/conf-change.js';
import { describeConf } from '../../src/core/describe.js';
import { conf } from '../support/core-group.js';
import { Prng } from '@swarm/sim';

const { AddVoter, AddLearner, Remove, Update } = ConfChangeOp;

function change(...rows: readonly [MemberChange['op'], number][]): ConfChange {
  return { changes: rows.map(([op, id]) => ({ op, id })) };
}

test('one voter more or less needs no joint configuration', (t) => {
  const cases: [ConfChange, string][] = [
    [change([AddVoter, 4]), '(1 2 3 4)'],
    [change([Remove, 3]), '(1 2)'],
    [change([AddLearner, 3]), '(1 2) learners (3)'],
    [change([AddLearner, 4], [AddLearner, 5]), '(1 2 3) learners (4 5)'],
    [change([Remove, 9]), '(1 2 3)'],
  ];
  for (const [what, expected] of cases) {
    t.is(describeConf(changeConf(conf([1, 2, 3]), what)), expected);
  }
});

test('replacing a voter goes through a joint configuration and leaves it', (t) => {
  const joint = changeConf(conf([1, 2, 3]), change([AddVoter, 4], [Remove, 3]));
  t.is(describeConf(joint), '(1 2 4)&(1 2 3) auto');
  t.is(describeConf(changeConf(joint, LEAVE_JOINT)), '(1 2 4)');
});

test('a voter demoted in a joint configuration is a learner only after it', (t) => {
  const joint = changeConf(conf([1, 2, 3]), change([AddLearner, 3], [AddVoter, 4]));
  t.is(describeConf(joint), '(1 2 4)&(1 2 3) then (3) auto');
  t.is(describeConf(changeConf(joint, LEAVE_JOINT)), '(1 2 4) learners (3)');
});

test('a new address does not promote a learner', (t) => {
  const before = conf([1], [2]);
  t.deepEqual(changeConf(before, change([Update, 2])), before);
});

test('changes that would break the cluster are refused', (t) => {
  const joint = changeConf(conf([1, 2, 3]), change([AddVoter, 4], [Remove, 3]));
  const cases: [ReturnType<typeof conf>, ConfChange][] = [
    [conf([1]), change([Remove, 1])],
    [conf([1]), LEAVE_JOINT],
    [joint, change([AddVoter, 5])],
    [conf([1]), change([AddVoter, 0])],
  ];
  for (const [before, what] of cases) {
    t.throws(() => changeConf(before, what), { instanceOf: ConfChangeError });
  }
});

test('a bootstrap makes any number of voters at once', (t) => {
  const founded = changeConf(EMPTY_CONF, change([AddVoter, 1], [AddVoter, 2], [AddVoter, 3]));
  t.is(describeConf(founded), '(1 2 3)');
});

test('a joint change ends where the same changes end one by one', (t) => {
  const random = new Prng(5, 'test').fraction;
  let joint = 0;
  for (let i = 0; i < 3000; i++) {
    const pick = () => 1 + Math.floor(random() * 6);
    const rows = Array.from({ length: 1 + Math.floor(random() * 4) }, (): MemberChange => {
      const op = [AddVoter, AddLearner, Remove][Math.floor(random() * 3)]!;
      return { op, id: pick() };
    });
    const start = conf([1, 2, 3], [4]);
    let single = start;
    let together: typeof start;
    try {
      for (const row of rows) single = changeConf(single, { changes: [row] });
      together = changeConf(start, { changes: rows });
    } catch (error) {
      if (error instanceof ConfChangeError) continue;
      throw error;
    }
    if (isJoint(together)) {
      joint++;
      together = changeConf(together, LEAVE_JOINT);
    }
    t.deepEqual(together, single, JSON.stringify(rows));
  }
  t.true(joint > 500);
});

test('a change survives encoding, and other bytes are refused', (t) => {
  const info = { id: 4, address: '198.18.0.4:2377', nodeId: 'n4' };
  const whole: ConfChange = {
    changes: [
      { op: AddVoter, id: 4, info },
      { op: Remove, id: 3 },
    ],
  };
  t.deepEqual(decodeConfChange(encodeConfChange(whole)), whole);
  t.deepEqual(decodeConfChange(encodeConfChange(LEAVE_JOINT)), LEAVE_JOINT);
  for (const none of ['', 'x', '{}', '[[1]]', '[[1,"1"]]', '[[1,1,2,3]]', '[[1,1,"a b","n"]]']) {
    t.throws(() => decodeConfChange(new TextEncoder().encode(none)), {
      instanceOf: ConfChangeError,
    });
  }
  // It may be from a newer version: skipping it would split the group.
  t.throws(() => decodeConfChange(new TextEncoder().encode('[[9,1]]')), {
    instanceOf: UnknownConfChangeError,
  });
});
