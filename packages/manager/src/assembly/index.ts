export type { CaContext, CertificateIssuer, Issued, RootCA } from '../ca/certificate-issuer.js';
export { x509Issuer } from '../ca/x509-issuer.js';
export type { NodeSocket } from '../dispatcher/node-socket.js';
export { FORWARDED_HEADER } from '../api/gate.js';
export { ManagerApi, type ManagerApiOptions } from '../api/manager-api.js';
export { StoreStateMachine } from '../store/state-machine.js';
export { type Rate, TokenBucket } from '../token-bucket.js';
export { type AddressGroups, groupsOf } from './address-groups.js';
export { FORWARD, noForwarder, PEER_HEADER, type Peer, readPeer } from './forwarded.js';
export {
  ADDRESS_HEADER,
  askToLeave,
  fetchMembers,
  JOIN_PATH,
  type LeaveBody,
  type ManagerCalls,
  PROBE_PATH,
} from './join-raft.js';
export type { ForwardWay, LeaderAddress, LeaderLink, ProbeReply } from './leader-link.js';
export { type LocalManager, selfInfo, type Start } from './local-manager.js';
export { Manager } from './manager.js';
export type { ManagerOptions } from './manager-options.js';
export { INSTANCE_HEADER, MemberInstances } from './member-instances.js';
export { MovedManagers } from './moved-managers.js';
export { NodeAddresses } from './node-addresses.js';
export type { Admitted, NodePort, PortRoutes } from './node-port.js';
export { ANSWERED, ANY_TIME, type NodeRequest, type NodeRoute } from './node-routes.js';
export { asApiError } from './raft-errors.js';
export { RefusalLog } from './refusal-log.js';
