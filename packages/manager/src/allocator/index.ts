export { publishConflict } from './publish-conflict.js';
