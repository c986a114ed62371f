import type { Coverage } from './coverage.js';
import type { Violation } from './violation.js';

/** A fault at a point in time of a plan. Its meaning is up to the simulator. */
export interface TimedAction {
  readonly atMs: number;
}

/** Everything that is decided before a run begins. With the seed, it determines the run. */
export interface RunPlan {
  readonly seed: number;
  readonly profile: string;
  /** Duration of the faults; then everything heals. */
  readonly faultsMs: number;
  readonly actions: readonly TimedAction[];
}

/** The outcome of one run. */
export interface RunResult<Plan extends RunPlan = RunPlan> {
  readonly plan: Plan;
  readonly failure: Violation | undefined;
  /** Equal for two runs exactly if the same happened in the same order. */
  readonly digest: string;
  readonly virtualMs: number;
  readonly events: number;
  readonly operations: number;
  /** Keys whose history the search could not decide within its limit. */
  readonly undecided: number;
  readonly coverage: Coverage;
}

/** Receives a line for everything that happens. */
export type LineSink = (line: string) => void;

/**
 * Runs plans. A module that exports one as `simulator` can be spread over processes (runner.ts) and
 * driven from the command line (command/main.ts).
 */
export interface Simulator<Plan extends RunPlan = RunPlan> {
  /** Kinds of plans; the first is the default. */
  readonly profiles: readonly Plan['profile'][];
  /** Every mark that runs can reach. */
  readonly marks: readonly string[];
  makePlan(seed: number, profile: Plan['profile']): Plan;
  run(plan: Plan, trace?: LineSink): Promise<RunResult<Plan>>;
  /** What a person needs to know about a plan, in a few lines. */
  describe(plan: Plan): string;
  /**
   * Ways to make a plan simpler, besides leaving out actions. Each is tried on the result of the
   * others.
   */
  simplifications(plan: Plan): readonly Simplification<Plan>[];
}

/** One way to make a plan simpler. */
export interface Simplification<Plan> {
  simplify(plan: Plan): Plan;
}

/** The module that a child process loads. */
export interface SimulatorModule {
  readonly simulator: Simulator;
}

export async function loadSimulator(program: string): Promise<Simulator> {
  const { simulator } = (await import(program)) as Partial<SimulatorModule>;
  if (simulator === undefined) throw new Error(`${program} exports no simulator`);
  return simulator;
}
