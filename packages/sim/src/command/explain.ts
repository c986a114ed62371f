import { writeFile } from 'node:fs/promises';
import { SHRINK_LIMIT_RUNS, shrink } from '../run/shrink.js';
import type { RunPlan } from '../run/simulator.js';
import type { SimulateCommand, SimulateOptions } from './options.js';

/** Prints the seed, a smaller plan with the same failure, and what happened in it. */
export async function explain<Plan extends RunPlan>(
  { name, simulator }: SimulateCommand<Plan>,
  plan: Plan,
  options: SimulateOptions,
): Promise<void> {
  const result = await simulator.run(plan);
  const { failure } = result;
  const say = (text: string) => process.stdout.write(`${text}\n`);
  if (failure === undefined) throw new Error(`seed ${plan.seed} failed, but no longer does`);
  say(`\nFAILED seed ${plan.seed} (${plan.profile}): ${failure.message}`);
  say(`again: ${name} --from ${plan.seed} --seeds 1 --profile ${plan.profile}`);
  let smallest = plan;
  if (options.shrinks) {
    say(`shrinking the plan, in at most ${SHRINK_LIMIT_RUNS} runs`);
    const { plan: smaller, runs } = await shrink(simulator, result);
    smallest = smaller;
    say(`${plan.actions.length} faults became ${smaller.actions.length} in ${runs} runs`);
  }
  say(simulator.describe(smallest));
  if (options.save !== undefined) {
    await writeFile(options.save, JSON.stringify(smallest));
    say(`again: ${name} --plan ${options.save}`);
  }
  if (options.trace === 0) return;
  const lines: string[] = [];
  const traced = await simulator.run(smallest, (line) => {
    lines.push(line);
    if (lines.length > options.trace) lines.shift();
  });
  say('trace (ms, member, what):');
  say(lines.join('\n'));
  say(`${traced.failure?.message ?? 'the smaller plan does not fail when traced'}`);
}
