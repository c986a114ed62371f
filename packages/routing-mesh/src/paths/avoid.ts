import type { CheckedMember, CheckedPort } from '../checked.js';
import type { StateIndex } from '../state-index.js';

/**
 * What to leave out because it runs on nodes that this one does not reach, as long as the rest of a port, or of a
 * service's tasks, has something left: a client that waits is worse off than one that gets another task. Where
 * nothing would be left it stays: the path may mend first.
 */
export class Avoidance {
  #nodeIds: ReadonlySet<string> = new Set();
  /** The same object for the same task: others see by it that nothing changed. */
  #avoided = new WeakMap<CheckedMember, CheckedMember>();

  /** @param nodeIds nodes that this one does not reach */
  follow(nodeIds: ReadonlySet<string>): void {
    this.#nodeIds = nodeIds;
  }

  port(port: CheckedPort): CheckedPort {
    if (this.#nodeIds.size === 0) return port;
    const endpoints = port.endpoints.filter(({ nodeId }) => !this.#nodeIds.has(nodeId));
    const isWhole = endpoints.length === port.endpoints.length;
    return isWhole || endpoints.length === 0 ? port : { ...port, endpoints };
  }

  /** As the tasks of this node see it: names and virtual addresses lead to it only while it serves. */
  member(member: CheckedMember, index: StateIndex): CheckedMember {
    const { serves, nodeId, serviceId } = member;
    if (!serves || !this.#nodeIds.has(nodeId)) return member;
    if (!this.#isServedElsewhere(index.membersOf(serviceId).values())) return member;
    let avoided = this.#avoided.get(member);
    if (avoided === undefined) {
      avoided = { ...member, serves: false };
      this.#avoided.set(member, avoided);
    }
    return avoided;
  }

  #isServedElsewhere(members: Iterable<CheckedMember>): boolean {
    for (const { serves, nodeId } of members) if (serves && !this.#nodeIds.has(nodeId)) return true;
    return false;
  }
}
