export * from './force-single-member.js';
export * from './found-from-state.js';
