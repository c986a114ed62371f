export type * from './local-node.js';
export { COMMANDS, type MainOptions, main } from './main.js';
