import { describeMessage, describeStatus } from '../../../src/core/describe.js';
import type { Handlers } from '../command.js';
import type { ScenarioStage } from '../stage.js';
import { targets } from './work.js';

/** What can be seen from outside. */
export const questionHandlers: Handlers<ScenarioStage> = {
  /** One line per member, and one per peer of a leader. */
  status: (stage, command) =>
    targets(stage, command).flatMap((id) =>
      describeStatus(stage.get(id).core.status()).split('\n'),
    ),
  'raft-state': (stage, command) =>
    targets(stage, command).map((id) => {
      const { core } = stage.get(id);
      const { role, term, vote, leader } = core.status();
      return `${id} ${role} term ${term} vote ${vote || '-'} leader ${leader || '-'}`;
    }),
  /** The terms of the entries from the first held on; `|` follows the last committed one. */
  'raft-log': (stage, command) =>
    targets(stage, command).map((id) => {
      const { core } = stage.get(id);
      const words = [`${id} from ${core.firstIndex}:`];
      if (core.commitIndex < core.firstIndex) words.push('|');
      for (let i = core.firstIndex; i <= core.lastIndex; i++) {
        words.push(String(core.termAt(i)));
        if (i === core.commitIndex) words.push('|');
      }
      return words.join(' ');
    }),
  /** What a crash would leave now. */
  disk: (stage, command) =>
    targets(stage, command).map((id) => {
      const { hardState, base, entries } = stage.get(id).disk;
      const { term, vote, commit } = hardState;
      const terms = entries.map((entry) => entry.term).join(' ');
      return `${id} term ${term} vote ${vote || '-'} commit ${commit} after ${base.term}/${base.index}: ${terms}`.trimEnd();
    }),
  /** How long a leader may still serve reads without asking anybody. */
  lease: (stage, command) =>
    targets(stage, command).map((id) => {
      const leftMs = stage.get(id).core.leaseRemainingMs(stage.nowMs);
      return leftMs > 0 ? `${id} has a lease for ${Math.round(leftMs)} ms` : `${id} has no lease`;
    }),
  messages: (stage) => stage.network.map(describeMessage),
  /** Checks whether the members have the same log and commit. */
  agree: (stage, command) => {
    const logs = targets(stage, command).map((id) => {
      const { core } = stage.get(id);
      const terms: unknown[] = [core.lastIndex, core.commitIndex];
      const from = Math.max(...stage.all().map((other) => other.core.firstIndex));
      for (let i = from; i <= core.lastIndex; i++) terms.push(core.termAt(i));
      return terms.join(' ');
    });
    return [new Set(logs).size === 1 ? 'yes' : 'no'];
  },
};
