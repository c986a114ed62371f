import { AddressBook, createAllocator } from '../../src/allocator/index.js';
import type { ControlLoop, LoopContext } from '../../src/control-loop.js';
import { createDispatcher } from '../../src/dispatcher/index.js';
import { createFeatureLevel } from '../../src/feature-level/index.js';
import { createLogBroker } from '../../src/logbroker/index.js';
import { createOrchestrators } from '../../src/orchestrator/index.js';
import { createRoleManager } from '../../src/role-manager/index.js';
import { createScheduler } from '../../src/scheduler/index.js';

/** Every control loop of a leader without a Raft group, in the order of their start. */
export function leaderLoops(context: LoopContext): ControlLoop[] {
  const addresses = new AddressBook(context);
  const dispatcher = createDispatcher(context);
  const roles = {
    members: () => [],
    watch: () => () => {},
    remove: async () => {},
    isSelf: () => false,
    transferAway: async () => {},
  };
  return [
    addresses,
    createAllocator(context, addresses),
    createScheduler(context, addresses),
    ...createOrchestrators(context),
    dispatcher,
    createLogBroker(context, dispatcher),
    createRoleManager(context, roles),
    createFeatureLevel(context, { members: () => [] }),
  ];
}
