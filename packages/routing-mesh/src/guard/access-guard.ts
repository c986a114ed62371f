import { isPort, type Logger, parseIpAddress } from '@swarm/api';
import { CommandError, type RunCommand } from '../kernel/command.js';
import { TABLE, type TableFamily, type TaskId } from '../layout.js';
import type { StateChange } from '../checked.js';
import { StateIndex } from '../state-index.js';
import type { Family } from '../table/family.js';
import { countedElements, PacketCounts } from '../table/packet-counts.js';
import {
  type GuardedTask,
  guardedTasks,
  type GuardInput,
  guardPlan,
  type RefusedAttempt,
} from './guard-plan.js';
import { GuardScope } from './guard-scope.js';
import { type GuardSection, REFUSED_SET } from './guard-section.js';

/** What nobody admitted since the last look, for one task. */
export interface Refusals {
  readonly taskId: TaskId;
  /** Packets of clients: of TCP, one for each attempt. */
  readonly count: number;
  /** One of them. */
  readonly last: RefusedAttempt;
}

/** Lets only those connect to tasks of this node whom their services' rules name. */
export interface AccessGuard {
  /**
   * Takes the rules of a state; they hold once the transaction of all parts is committed.
   * @param change all that differs from the last call; undefined: anything may
   */
  apply(input: Omit<GuardInput, 'numberOf'>, change?: StateChange): void;
  /** What was refused since the last look. Costs nothing while no task has rules. */
  look(): Promise<readonly Refusals[]>;
}

/** For nodes without a packet filter: a service with rules has no tasks there. */
export const noAccessGuard: AccessGuard = { apply() {}, look: async () => [] };

export interface NftablesGuardOptions {
  readonly run: RunCommand;
  readonly logger: Logger;
  readonly sections: ReadonlyMap<Family, GuardSection>;
  /** Of the table that has the sections of IPv4. */
  readonly family: TableFamily;
}

/** The guard in the node's own tables. */
export class NftablesGuard implements AccessGuard {
  readonly #options: NftablesGuardOptions;
  /** Numbers of services that rules admit. */
  readonly #numbers = new Map<string, number>();
  #lastNumber = 0;
  #guarded: readonly GuardedTask[] = [];
  #scope = new GuardScope([], { index: new StateIndex(), services: new Map() });
  /** Of each refused attempt. */
  readonly #counts = new PacketCounts();
  #isFailing = false;

  constructor(options: NftablesGuardOptions) {
    this.#options = options;
  }

  apply(slice: Omit<GuardInput, 'numberOf'>, change?: StateChange): void {
    if (change !== undefined && !this.#scope.isTouched(change, slice)) return;
    const used = new Set<string>();
    const numberOf = (serviceId: string): number => {
      used.add(serviceId);
      let number = this.#numbers.get(serviceId);
      if (number === undefined) {
        number = ++this.#lastNumber;
        this.#numbers.set(serviceId, number);
      }
      return number;
    };
    const input: GuardInput = { ...slice, numberOf };
    const guarded = guardedTasks(input);
    this.#scope = new GuardScope(guarded, input);
    if (guarded.length === 0 && this.#guarded.length === 0) return;
    this.#guarded = guarded;
    for (const [family, section] of this.#options.sections)
      section.follow(guardPlan(guarded, input, family));
    for (const serviceId of this.#numbers.keys()) {
      if (!used.has(serviceId)) this.#numbers.delete(serviceId);
    }
  }

  async look(): Promise<readonly Refusals[]> {
    if (this.#guarded.length === 0) return [];
    const seen = new Map<string, { attempt: RefusedAttempt; packets: number }>();
    const found = new Map<TaskId, { count: number; last: RefusedAttempt }>();
    const owners = new Map<string, TaskId>();
    for (const { taskId, addresses } of this.#guarded)
      for (const address of addresses) owners.set(address, taskId);
    for (const [family, section] of this.#options.sections) {
      if (!section.isWanted) continue;
      for (const one of await this.#read(family)) {
        const { to, from, protocol, port } = one.attempt;
        seen.set(`${to} ${from} ${protocol} ${port}`, one);
      }
    }
    const counts = new Map([...seen].map(([key, { packets }]) => [key, packets]));
    for (const [key, count] of this.#counts.since(counts)) {
      const { attempt } = seen.get(key)!;
      const taskId = owners.get(attempt.to);
      if (taskId === undefined) continue;
      found.set(taskId, { count: (found.get(taskId)?.count ?? 0) + count, last: attempt });
    }
    return [...found].map(([taskId, one]) => ({ taskId, ...one }));
  }

  async #read({ version }: Family): Promise<{ attempt: RefusedAttempt; packets: number }[]> {
    try {
      const table = version === 4 ? this.#options.family : 'ip6';
      const json = await this.#options.run('nft', ['-j', 'list', 'set', table, TABLE, REFUSED_SET]);
      this.#isFailing = false;
      return parseRefused(json);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (!this.#isFailing)
        this.#options.logger.warn({ error: error.message }, 'cannot read what rules refused');
      this.#isFailing = true;
      return [];
    }
  }
}

/** Parses `nft -j list set`. Leaves out what is not of the set's type. */
export function parseRefused(json: string): { attempt: RefusedAttempt; packets: number }[] {
  const found: { attempt: RefusedAttempt; packets: number }[] = [];
  for (const { key, packets } of countedElements(json)) {
    const [toText, fromText, protocol, port] = key;
    const to = parseIpAddress(toText);
    const from = parseIpAddress(fromText);
    if (to === undefined || from === undefined) continue;
    const name = typeof protocol === 'string' ? protocol : String(protocol);
    found.push({ attempt: { to, from, protocol: name, port: isPort(port) ? port : 0 }, packets });
  }
  return found;
}
