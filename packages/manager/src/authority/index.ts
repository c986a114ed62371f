export { Authority, type AuthorityContext } from './authority.js';
export { LOCAL, type NodeKind, NOBODY, type Principal, type PrincipalKind } from './principal.js';
export { ALL_RIGHTS, mayUse, requireRight, type Right } from './rights.js';
