export * from './ca-server.js';
export * from './certificate-issuer.js';
export * from './root.js';
export * from './x509-issuer.js';
