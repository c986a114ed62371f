export { COMMANDS } from './commands/commands.js';
export type * from './local-node.js';
export { type MainOptions, main } from './main.js';
