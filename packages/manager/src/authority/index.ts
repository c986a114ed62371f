export { Authority, type AuthorityContext } from './authority.js';
