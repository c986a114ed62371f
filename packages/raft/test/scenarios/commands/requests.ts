import { ConfChangeError } from '../../../src/core/conf-change.js';
import { describeMessage } from '../../../src/core/describe.js';
import { FORCE, messageOf, REJECT } from '../../../src/codec/message-codec.js';
import { MessageType } from '../../../src/core/message.js';
import type { ProposeResult } from '../../../src/core/raw-node.js';
import { type Command, type Handlers, ids, numberAt, numberOption } from '../command.js';
import { type ScenarioStage, typeNamed } from '../stage.js';
import { parseChange, parseLog } from './log-words.js';

const text = new TextEncoder();

/** Requests to a member. */
export const requestHandlers: Handlers<ScenarioStage> = {
  campaign: (stage, command) => answer(core(stage, command).campaign()),
  /** `propose 1 x y`: one entry each; `bytes=100` one large entry. */
  propose: (stage, command) => {
    const bytes = numberOption(command, 'bytes');
    const datas = bytes === undefined ? command.words.slice(1) : ['.'.repeat(bytes)];
    return outcome(core(stage, command).propose(datas.map((data) => text.encode(data))));
  },
  /** `propose-conf-change 1 +4 l5 -2 u3`, or `leave`. */
  'propose-conf-change': (stage, command) => {
    try {
      return outcome(core(stage, command).proposeConfChange(parseChange(command.words.slice(1))));
    } catch (error) {
      if (!(error instanceof ConfChangeError)) throw error;
      return [`refused: ${error.message}`];
    }
  },
  transfer: (stage, command) => answer(core(stage, command).transferLeader(numberAt(command, 1))),
  /** `read-index 2 7`: a read that the caller numbers 7. */
  'read-index': (stage, command) => answer(core(stage, command).readIndex(numberAt(command, 1))),
  /** Tells the leader that its commit has waited long enough for a message to carry it. */
  'tell-commit': (stage, command) => {
    core(stage, command).tellCommit();
    return [];
  },
  'step-down': (stage, command) => {
    core(stage, command).stepDown();
    return [];
  },
  'forget-leader': (stage, command) => {
    for (const id of ids(command.words[0])) stage.get(id).core.forgetLeader();
    return [];
  },
  'report-unreachable': (stage, command) => {
    core(stage, command).reportUnreachable(numberAt(command, 1));
    return [];
  },
  /** `report-snapshot 1 3 ok|failed`. */
  'report-snapshot': (stage, command) => {
    core(stage, command).reportSnapshot(numberAt(command, 1), command.words[2] === 'ok');
    return [];
  },
  /**
   * `send-snapshot 1 3`: sends the sender's applied state, whether the core asked for it or not.
   */
  'send-snapshot': (stage, command) => {
    const member = stage.get(numberAt(command, 0));
    const snapshot = member.snapshot();
    const to = numberAt(command, 1);
    const { term } = member.core;
    stage.network.push({ type: MessageType.Snapshot, from: member.id, to, term, snapshot });
    return [`snapshot ${snapshot.term}/${snapshot.index} for ${to}`];
  },
  /**
   * `forge 3>2 Heartbeat term=1 [index= logTerm= commit= rejectHint= context=] [reject] [force]
   * [entries=1,2]`: puts a message that nobody sent into the network, with the wire's names for its
   * fields; entries follow `index`.
   */
  forge: (stage, command) => {
    const [link = '', type = ''] = command.words;
    const [from = 0, to = 0] = link.split('>').map(Number);
    const index = numberOption(command, 'index') ?? 0;
    const number = (name: string) => numberOption(command, name) ?? 0;
    const flags =
      (command.words.includes('reject') ? REJECT : 0) |
      (command.words.includes('force') ? FORCE : 0);
    const kind = typeNamed(type);
    const tuple = [
      kind,
      from,
      to,
      number('term'),
      index,
      number('logTerm'),
      number('commit'),
      flags,
      number('rejectHint'),
      number('context'),
      0,
      0,
      null,
    ] as const;
    const entries = parseLog(command.options.get('entries'), index);
    const message = messageOf(kind, tuple, entries, undefined);
    stage.network.push(message);
    return [describeMessage(message)];
  },
  compact: (stage, command) => {
    stage.get(numberAt(command, 0)).compact(numberAt(command, 1));
    return [];
  },
};

function core(stage: ScenarioStage, command: Command) {
  return stage.get(numberAt(command, 0)).core;
}

function answer(taken: boolean): string[] {
  return taken ? [] : ['no'];
}

function outcome(result: ProposeResult): string[] {
  return [
    result.refusal === undefined
      ? `at ${result.term}/${result.index}`
      : `refused: ${result.refusal}`,
  ];
}
