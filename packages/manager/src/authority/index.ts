export { Authority, type AuthorityContext } from './authority.js';
export { type Stranger, Strangers } from './strangers.js';
