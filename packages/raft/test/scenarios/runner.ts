import { type Command, type Handlers, parseCommand } from './command.js';
import { type ConfWorld, confHandlers, confWorld } from './commands/conf.js';
import { memberHandlers } from './commands/members.js';
import { questionHandlers } from './commands/questions.js';
import { quorumHandlers } from './commands/quorum.js';
import { requestHandlers } from './commands/requests.js';
import { workHandlers } from './commands/work.js';
import { ScenarioStage } from './stage.js';

const stageHandlers: Handlers<ScenarioStage> = {
  ...memberHandlers,
  ...requestHandlers,
  ...workHandlers,
  ...questionHandlers,
};

interface World {
  readonly stage: ScenarioStage;
  readonly conf: ConfWorld;
}

/**
 * Plays a scenario and returns its whole text with the actual output, so that a scenario passes
 * when its text does not change.
 *
 * A line `# …` tells the story, and a blank line stays. `> command …` is played; lines that begin
 * with two spaces are its output. `quietly` at the end of a command omits the output;
 * `only=gets,is` keeps the lines with one of these verbs. A fault of the core is output too:
 * `fault: …`.
 */
export function play(text: string): string {
  const world: World = { stage: new ScenarioStage(), conf: confWorld() };
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue;
    if (line !== '' && !/^(# |#$|> )/.test(line))
      throw new Error(`neither story nor command: ${line}`);
    lines.push(line);
    if (!line.startsWith('> ')) continue;
    const quiet = / quietly$/.test(line);
    const command = parseCommand(line.slice(2).replace(/ quietly$/, ''));
    const only = command.options.get('only')?.split(',');
    for (const told of run(world, command)) {
      const wanted = only === undefined || only.includes(told.split(' ')[1] ?? '');
      // Silence must not swallow a fault.
      if ((wanted && !quiet) || told.startsWith('fault')) lines.push(`  ${told}`);
    }
  }
  return lines.join('\n');
}

function run({ stage, conf }: World, command: Command): string[] {
  const onStage = stageHandlers[command.name];
  if (onStage !== undefined) {
    const output = faults(() => onStage(stage, command));
    stage.check();
    return output;
  }
  const onConf = confHandlers[command.name];
  if (onConf !== undefined) return faults(() => onConf(conf, command));
  const onQuorum = quorumHandlers[command.name];
  if (onQuorum !== undefined) return onQuorum(undefined, command);
  throw new Error(`unknown command ${command.name}`);
}

/** A member that finds itself broken must say so; a scenario can expect it. */
function faults(action: () => string[]): string[] {
  try {
    return action();
  } catch (error) {
    const fault = error instanceof Error && 'code' in error && error.code === 'RAFT_FAULT';
    if (!fault) throw error;
    return [`fault: ${error.message}`];
  }
}
