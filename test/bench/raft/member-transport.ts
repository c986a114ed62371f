import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type MemberInfo, socketOptions, systemClock, tlsConnect, WsTransport } from '@swarm/raft';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  type NodeIdentity,
  readSubject,
  type SubjectFields,
  tlsClientOptions,
  tlsServerOptions,
} from '@swarm/identity';
import { CLUSTER_ID } from './cluster-id.js';

export interface MemberTransportOptions {
  readonly self: MemberInfo;
  readonly identity: NodeIdentity;
  /** Where to dial a member. Default: its address. */
  readonly addressOf?: (member: MemberInfo) => string;
  /** Wraps every socket, dialled or accepted, before the transport uses it. */
  readonly watch?: (socket: WebSocket) => WebSocket;
}

/** The product's transport over TLS, and the server, not yet listening, that others dial. */
export function memberTransport(options: MemberTransportOptions): {
  readonly transport: WsTransport;
  readonly server: Server;
} {
  const { self, identity, addressOf, watch = (socket) => socket } = options;
  const connect = tlsConnect((member) => tlsClientOptions(identity, member.nodeId));
  const transport = new WsTransport({
    self,
    clusterId: CLUSTER_ID,
    connect: (member, path) => {
      const address = addressOf?.(member) ?? member.address;
      return watch(connect({ ...member, address }, path));
    },
    clock: systemClock(),
    random: Math.random,
    logger: { debug() {}, info() {}, warn: (fields, text) => console.error(self.id, text, fields) },
  });
  const server = createServer(tlsServerOptions(identity));
  const sockets = new WebSocketServer({ noServer: true, ...socketOptions() });
  server.on('upgrade', (request, socket, head) => {
    const subject = readSubject(
      (request.socket as TLSSocket).getPeerCertificate().subject as SubjectFields,
    );
    if (subject?.role !== 'manager') {
      socket.destroy();
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) =>
      transport.accept(watch(opened), { nodeId: subject.nodeId }, request.url),
    );
  });
  return { transport, server };
}
