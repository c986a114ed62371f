export { COMMANDS, main } from './main.js';
export { DAEMON_NODE_FLAGS } from './node-flags.js';
