import type { CheckedMember, CheckedPort, CheckedService, StateChange } from '../checked.js';
import { type GuardedTask, type GuardInput, servicesNamed } from './guard-plan.js';

/** What the rules of these tasks depend on; a change of anything else leaves the sets as they are. */
export class GuardScope {
  /** Names and ids in their rules, in lower case. */
  readonly #named = new Set<string>();
  readonly #callers = new Set<string>();

  constructor(guarded: readonly GuardedTask[], input: Pick<GuardInput, 'index' | 'services'>) {
    for (const { allow } of guarded) {
      for (const { source } of allow) {
        if (source.kind !== 'service') continue;
        this.#named.add(source.name.toLowerCase());
        for (const id of servicesNamed(input, source.name)) this.#callers.add(id);
      }
    }
  }

  /** Whether the change may make another plan. @param input after it */
  isTouched(
    { ports, services, members }: StateChange,
    input: Omit<GuardInput, 'numberOf'>,
  ): boolean {
    const { index } = input;
    const isService = (one: CheckedService | undefined) =>
      one !== undefined &&
      (one.allow !== undefined ||
        this.#named.has(one.name) ||
        this.#named.has(one.serviceId.toLowerCase()));
    for (const [id, before] of services)
      if (isService(before) || isService(input.services.get(id))) return true;
    if (index.servicesWithRules.size === 0) return false;
    for (const [id, before] of members) {
      const after = input.members.get(id);
      if (input.tasks.has(id) || this.#isCaller(before) || this.#isCaller(after)) return true;
    }
    const hasRules = (port: CheckedPort | undefined) =>
      port !== undefined && index.servicesWithRules.has(port.serviceId);
    for (const [key, before] of ports)
      if (hasRules(before) || hasRules(input.ports.get(key))) return true;
    return false;
  }

  #isCaller(member: CheckedMember | undefined): boolean {
    return member !== undefined && this.#callers.has(member.serviceId);
  }
}
