import type { ReadMode } from '../../../src/core/config.js';
import type { ConfState } from '../../../src/core/types.js';
import { type Command, type Handlers, ids, numberAt, numberOption } from '../command.js';
import { ScenarioMember, type MemberOptions } from '../member.js';
import type { ScenarioStage } from '../stage.js';
import { parseLog } from './log-words.js';

const OPTIONS = [
  'electionTicks',
  'heartbeatTicks',
  'maxBytesPerMessage',
  'maxInflightMessages',
  'maxInflightBytes',
  'maxUncommittedBytes',
  'maxApplyBytes',
  'maxClockDriftPpm',
  'promiseMs',
  'timeout',
] as const;

/** Commands that add, crash and restart members. */
export const memberHandlers: Handlers<ScenarioStage> = {
  /**
   * `add-nodes 1,2,3 [voters=1,2 outgoing= learners= learnersNext= autoLeave=true] [log=1,1,2]
   * [base=index/term] [term= vote= commit=] [commitNews=carried] [option=number]`: voters are the
   * nodes themselves by default. An entry of the log is its term, with `:+4` for a membership
   * change.
   */
  'add-nodes': (stage, command) => {
    const added = ids(command.words[0]);
    for (const id of added) {
      const [index = 0, term = 0] = (command.options.get('base') ?? '0/0').split('/').map(Number);
      const entries = parseLog(command.options.get('log'), index);
      const base = { index, term };
      const hardState = {
        term: numberOption(command, 'term') ?? entries.at(-1)?.term ?? term,
        vote: numberOption(command, 'vote') ?? 0,
        commit: numberOption(command, 'commit') ?? index,
      };
      const disk = { base, hardState, entries, baseConf: parseConf(command, added) };
      stage.members.set(id, new ScenarioMember(id, disk, parseOptions(command)));
    }
    return [];
  },
  /** Removes all members: another cluster follows. */
  'new-cluster': (stage) => {
    stage.clear();
    return [];
  },
  /** Loses unwritten work and the state machine, but not messages already sent. */
  crash: (stage, command) => {
    stage.get(numberAt(command, 0)).crash();
    return [];
  },
  restart: (stage, command) => {
    stage.get(numberAt(command, 0)).restart();
    return [];
  },
  /** `lose-disk 2 after=5`: entries after 5 vanish from the disk of a crashed member, silently. */
  'lose-disk': (stage, command) => {
    const { disk } = stage.get(numberAt(command, 0));
    const after = numberOption(command, 'after') ?? 0;
    const commit = Math.min(disk.hardState.commit, after);
    disk.entries = disk.entries.filter(({ index }) => index <= after);
    disk.hardState = { ...disk.hardState, commit };
    return [];
  },
  /** The election timeout, in ticks, that the member draws from now on. */
  'set-election-timeout': (stage, command) => {
    stage.get(numberAt(command, 0)).timeout = numberAt(command, 1);
    return [];
  },
};

function parseConf(command: Command, added: readonly number[]): ConfState {
  const { options } = command;
  return {
    voters: options.has('voters') ? ids(options.get('voters')) : added,
    votersOutgoing: ids(options.get('outgoing')),
    learners: ids(options.get('learners')),
    learnersNext: ids(options.get('learnersNext')),
    autoLeave: options.get('autoLeave') === 'true',
  };
}

function parseOptions(command: Command): MemberOptions {
  const options: Record<string, number> = {};
  for (const name of OPTIONS) {
    const value = numberOption(command, name);
    if (value !== undefined) options[name] = value;
  }
  const readMode = command.options.get('readMode');
  const isCarried = command.options.get('commitNews') === 'carried';
  return {
    ...options,
    ...(readMode !== undefined && { readMode: readMode as ReadMode }),
    ...(isCarried && { commitNews: 'carried' }),
  };
}
