export { COMMANDS } from './commands/commands.js';
export { main } from './main.js';
export { DAEMON_NODE_FLAGS } from './node-flags.js';
