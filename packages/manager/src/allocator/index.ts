export { createAllocator, INGRESS_NAME, INGRESS_VNI, ingressNetwork } from './allocator.js';
export { INGRESS_SUBNET, MESH_INDEX_LAST, meshSubnet } from './node-mesh.js';
export { DYNAMIC_PORT_FIRST, DYNAMIC_PORT_LAST } from './port-table.js';
export { conflictWith, publishConflict, publishHolder } from './publish-conflict.js';
