// What tests of packages built on the manager may use of its tests.
export { EventFeed } from '../../src/api/event-feed.js';
export { removeNode } from '../../src/role-manager/remove-node.js';
export { SetAside } from '../../src/set-aside.js';
export { Codec } from '../../src/store/command.js';
export type { Objects, SpecKind } from '../../src/store/store.js';
export { LogFrameReader } from '../../src/logbroker/log-wire.js';
export { KINDS } from '../../src/store/kinds.js';
export { CLUSTER_ID, DAY_MS, identity, root } from '../ca/cluster.js';
export { fullDraft, STRANGE } from './hostile.js';
export { leaderLoops } from './leader-loops.js';
export * from './memory-database.js';
export * from './objects.js';
export * from './test-store.js';
export { START_MS } from './start-time.js';
