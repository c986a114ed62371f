import { type Command, type Handlers, ids, numberAt, numberOption } from '../command.js';
import { type ScenarioStage, typeNamed, type Which } from '../stage.js';

/** The work of hosts, one step at a time or all of it, and of the network. */
export const workHandlers: Handlers<ScenarioStage> = {
  /** `stabilize [ids]`: works and delivers until nothing moves, among these members or all. */
  stabilize: (stage, command) => stage.stabilize(targets(stage, command)),
  'process-ready': (stage, command) => targets(stage, command).flatMap((id) => stage.ready(id)),
  'process-append': (stage, command) =>
    targets(stage, command).flatMap((id) => stage.get(id).append()),
  'process-apply': (stage, command) =>
    targets(stage, command).flatMap((id) => stage.get(id).apply()),
  /** `deliver [to] [from=] [type=] [count=] [newest-first]`. */
  deliver: (stage, command) => stage.deliver(which(command)),
  drop: (stage, command) => [`dropped ${stage.take(which(command)).length}`],
  /** Makes a second copy of each message in the network. */
  duplicate: (stage, command) => {
    const taken = stage.take(which(command));
    for (const message of taken) stage.network.push(message, { ...message });
    return [`doubled ${taken.length}`];
  },
  /** `cut 1>2 3`: cuts a one-way link, or all links of a member. */
  cut: (stage, command) => {
    for (const word of command.words) {
      if (word.includes('>')) stage.cut.add(word);
      else {
        for (const id of stage.members.keys()) {
          stage.cut.add(`${id}>${word}`).add(`${word}>${id}`);
        }
      }
    }
    return [];
  },
  heal: (stage) => {
    stage.cut.clear();
    return [];
  },
  /** `tick-election 2 [count]`: ticks until an election is due, or this many times. */
  'tick-election': (stage, command) => {
    const member = stage.get(numberAt(command, 0));
    const count = command.words.length > 1 ? numberAt(command, 1) : member.timeout;
    for (let i = 0; i < count; i++) member.core.tick();
    return [];
  },
  /** `pass 300`: lets this many milliseconds pass on every clock. */
  pass: (stage, command) => {
    stage.nowMs += numberAt(command, 0);
    return [];
  },
  'tick-heartbeat': (stage, command) => {
    for (const id of targets(stage, command)) stage.get(id).core.tick();
    return [];
  },
};

export function targets(stage: ScenarioStage, command: Command): number[] {
  const named = ids(command.words[0]);
  return named.length > 0 ? named : stage.all().map(({ id }) => id);
}

function which(command: Command): Which {
  const type = command.options.get('type');
  const named = command.words.filter((word) => word !== 'newest-first');
  return {
    to: named.length > 0 ? ids(named[0]) : undefined,
    from: numberOption(command, 'from'),
    type: type === undefined ? undefined : typeNamed(type),
    count: numberOption(command, 'count'),
    newestFirst: command.words.includes('newest-first'),
  };
}
