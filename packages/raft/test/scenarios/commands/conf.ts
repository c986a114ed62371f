import { changeConf, ConfChangeError, EMPTY_CONF } from '../../../src/core/conf-change.js';
import { describeConf } from '../../../src/core/describe.js';
import { allMembers } from '../../../src/core/conf-change.js';
import { Tracker } from '../../../src/core/tracker.js';
import type { ConfState } from '../../../src/core/types.js';
import { type Handlers, ids } from '../command.js';
import { parseChange } from './log-words.js';

/** A configuration by itself, without members. */
export interface ConfWorld {
  conf: ConfState;
  readonly tracker: Tracker;
  next: number;
}

export function confWorld(): ConfWorld {
  return { conf: EMPTY_CONF, tracker: new Tracker(8, 1024), next: 1 };
}

/** The maths of membership changes. */
export const confHandlers: Handlers<ConfWorld> = {
  /** `conf voters=1,2,3 [outgoing= learners= learnersNext= autoLeave=true]`: starts from here. */
  conf: (world, { options }) => {
    world.conf = {
      voters: ids(options.get('voters')),
      votersOutgoing: ids(options.get('outgoing')),
      learners: ids(options.get('learners')),
      learnersNext: ids(options.get('learnersNext')),
      autoLeave: options.get('autoLeave') === 'true',
    };
    return tell(world);
  },
  /** `change +4 l5 -2 u1`, or `leave`: takes effect if it is allowed. */
  change: (world, { words }) => {
    try {
      const next = changeConf(world.conf, parseChange(words));
      world.conf = next;
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error;
      return [`refused: ${error.message}`, ...tell(world)];
    }
    return tell(world);
  },
};

/** The configuration, and for each member its role and where probing starts. */
function tell(world: ConfWorld): string[] {
  world.tracker.setConf(world.conf, world.next++, 0);
  const members = allMembers(world.conf).map((id) => {
    const { isLearner, next } = world.tracker.get(id)!;
    return `  ${id} ${isLearner ? 'learner' : 'voter'} next ${next}`;
  });
  return [describeConf(world.conf), ...members];
}
