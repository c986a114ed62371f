export { askToLeave, fetchMembers } from './assembly/join-raft.js';
export {
  type LocalManager,
  newRaftId,
  type Start,
} from './assembly/local-manager.js';
export * from './api/index.js';
export * from './ca/index.js';
export * from './control-loop.js';
export * from './store/store.js';
