/** What implementations must do, as AVA tests: call one in a test file of its own. */
export { balancerContract } from './balancer-contract.js';
export { linksContract } from './links-contract.js';
export { meshContract } from './mesh-contract.js';
export { namesContract, type NamesHost } from './names-contract.js';
export { probeContract } from './probe-contract.js';
export { tunnelContract, type TunnelHost } from './tunnel-contract.js';
