export { ApiServer, type ApiServerOptions } from './api-server.js';
export { API_VERSION_MAX, API_VERSION_MIN } from './api-version.js';
export { FORWARDED_HEADER } from './gate.js';
export { hijackTo } from './hijack.js';
export { API_LIMITS, type ApiLimits } from './limits.js';
export * from './node-control.js';
export { type ProxyTarget, proxyTo } from './proxy.js';
export { ERROR_CODE_HEADER } from './reply.js';
