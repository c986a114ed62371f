import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import {
  ApiError,
  type Clock,
  DISPATCH_FRAME_LIMIT_BYTES,
  dispatcherProtocol,
  dispatcherProtocols,
  ERROR_CODE_HEADER,
  formatHostPort,
  highestCommon,
  type Logger,
  offeredProtocols,
  parseHostPort,
  parseWindow,
  PROGRAM,
  PROTOCOL_HEADER,
  protocolProblem,
  systemProblem,
  type VersionWindow,
} from '@swarm/api';
import {
  type Metric,
  RAFT_PATH,
  RAFT_SNAPSHOT_PATH,
  socketOptions,
  type WsTransport,
} from '@swarm/raft';
import { WebSocketServer } from 'ws';
import { BodyReader, parseJson, refuse, type RequestHandler } from '@swarm/http';
import {
  type Caller,
  checkValidity,
  type NodeIdentity,
  type Principal,
  type Proof,
  prove,
  type Right,
  tlsServerOptions,
} from '@swarm/identity';
import {
  ADDRESS_HEADER,
  ANSWERED,
  ANY_TIME,
  asApiError,
  FORWARD,
  FORWARDED_HEADER,
  INSTANCE_HEADER,
  type MovedManagers,
  noForwarder,
  type NodePort,
  PEER_HEADER,
  type PortRoutes,
  readPeer,
  RefusalLog,
} from '@swarm/manager/assembly';
import { BODY_LIMITS, type BodyClass } from './body-limits.js';
import {
  ConnectionBudgets,
  DESCRIPTORS_NEEDED,
  limitsFor,
  type ProvedNode,
} from './connection-budgets.js';
import { descriptorLimit } from './descriptor-limit.js';
import { type Connection, FrontDoor, HANDSHAKE_TIMEOUT_MS } from './front-door.js';

/** What the port needs besides the manager's routes. */
export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  /** `host:port` by which other nodes know this one. */
  readonly advertiseAddress: string;
  /** The certificate in use now. */
  readonly identity: () => NodeIdentity;
  /** Gets the addresses at which other Raft members say they are. */
  readonly moved: Pick<MovedManagers, 'note'>;
  /** Takes over the connections of other Raft members. */
  readonly raft: Pick<WsTransport, 'accept'>;
  /** Everything else: the API for remote clients. */
  readonly api: RequestHandler<Caller>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The port for nodes: Raft, dispatcher, CA and API over mutual TLS, told apart by path. */
export class Listener implements NodePort {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #routes: PortRoutes;
  readonly #logger: Logger;
  readonly #refusals: RefusalLog;
  readonly #bodies: Readonly<Record<BodyClass, BodyReader>>;
  readonly #door: FrontDoor;
  /** What certificates prove, and against which root. A connection presents only one. */
  readonly #proofs = new WeakMap<Duplex, { readonly proof: Proof; readonly root: string }>();
  readonly #raftSockets = new WebSocketServer({ noServer: true, ...socketOptions() });
  readonly #agentSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: DISPATCH_FRAME_LIMIT_BYTES,
    handleProtocols: (offered) =>
      dispatcherProtocols(PROGRAM.Protocol).findLast((each) => offered.has(each)) ?? false,
  });

  constructor(routes: PortRoutes, options: ListenerOptions) {
    const { identity, api, clock, logger } = options;
    this.#options = options;
    this.#routes = routes;
    this.#logger = logger;
    this.#refusals = new RefusalLog(logger, clock);
    this.#bodies = {
      unproved: new BodyReader(clock, BODY_LIMITS.unproved),
      worker: new BodyReader(clock, BODY_LIMITS.worker),
      manager: new BodyReader(clock, BODY_LIMITS.manager),
    };
    this.#server = createServer({
      ...tlsServerOptions(identity()),
      ...api.serverOptions(),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // Runs before the API's own listener answers; later errors of the connection are more of the same.
      if (error.code !== 'ECONNRESET' && !socket.writableEnded)
        this.#refusals.refused(
          { remoteAddress: addressOf(socket), error: error.message },
          'a request to the managers’ port was not HTTP',
        );
    });
    api.bound(this.#server);
    this.#door = new FrontDoor({
      server: this.#server,
      budgets: this.#budgets(),
      addresses: routes.addresses,
      clock,
      // A log of its own, so that a flood of connections does not push other refusals out.
      refusals: new RefusalLog(logger, clock),
      prove: (socket) => this.#nodeAt(socket),
    });
    const take = (request: IncomingMessage, response: ServerResponse): void => {
      response.on('error', () => {});
      if (!this.#door.request(request, response)) return;
      this.#request(request, response).catch((error: unknown) =>
        this.#refuseRequest(request, response, error),
      );
    };
    this.#server.on('request', take);
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      // Refuses a body that is too long before it is sent; the API checks its own.
      const isNodes = this.#routes.node(request.method ?? 'GET', pathOf(request)) !== undefined;
      if (!isNodes || !this.#bodiesOf(request).isTooLong(request)) response.writeContinue();
      take(request, response);
    });
    this.#server.on('upgrade', (request, socket, head) => {
      socket.on('error', (error) => logger.debug({ err: error }, 'a connection broke'));
      if (!this.#door.request(request)) return;
      this.#upgrade(request, socket, head).catch((error: unknown) => {
        const known = this.#known(request, error);
        refuse(socket, known.status, known.message, clock, [ERROR_CODE_HEADER, known.code]);
      });
    });
  }

  /** @throws ApiError FAILED_PRECONDITION when the port is taken, INVALID_ARGUMENT */
  async listen(): Promise<void> {
    const { host, port } = this.#options;
    await this.#door.listen(host, port).catch((error: unknown) => {
      throw cannotListen(error as NodeJS.ErrnoException, host, port);
    });
    // For instance out of file descriptors. Existing connections are still served.
    this.#door.onError((error) =>
      this.#logger.error({ err: error }, 'the managers’ port could not take a connection'),
    );
  }

  /** The port it listens on. */
  get port(): number {
    return this.#door.port;
  }

  /** For observers. */
  metrics(): readonly Metric[] {
    return this.#door.metrics();
  }

  /** Uses a renewed certificate for connections made from now on. */
  renew(): void {
    this.#server.setSecureContext(tlsServerOptions(this.#options.identity()));
  }

  /** Cuts every connection, once nodes have their answers; resolves when the port is free. */
  async close(): Promise<void> {
    for (const server of [this.#raftSockets, this.#agentSockets]) {
      for (const socket of server.clients) socket.terminate();
      server.close();
    }
    await this.#door.close();
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request);
    const route = this.#routes.node(request.method ?? 'GET', path);
    if (route === undefined) return this.#api(request, response);
    const proof = this.#prove(request.socket, ANY_TIME.includes(route.right));
    if (request.headers[PEER_HEADER] === undefined)
      await this.#admit(request, proof, route.right, response);
    else await this.#admitForwarder(request, proof, response);
    this.#checkProtocols(nameOf(proof), requestProtocols(request));
    const remoteAddress = addressOf(request.socket);
    const raw = await this.#bodiesOf(request).read(request);
    const answer = await route.handle({
      peer: proof === undefined ? { remoteAddress } : { remoteAddress, proof },
      request,
      response,
      raw,
      json: () => parseJson(raw),
    });
    if (answer === ANSWERED || response.headersSent) return;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const path = pathOf(request);
    const isRaft = path === RAFT_PATH || path === RAFT_SNAPSHOT_PATH;
    const proof = this.#prove(request.socket, true);
    if (proof !== undefined) this.#checkTime(proof, path);
    const right = isRaft || path === DISPATCHER_PATH ? `UPGRADE ${path}` : ANY_API_RIGHT;
    const principal = await this.#admit(request, proof, right);
    if (socket.destroyed) return;
    if (!isRaft && path !== DISPATCHER_PATH) {
      this.#options.api.upgrade(request, socket, head, { principal, proof: proof! });
      return;
    }
    if (!('nodeId' in principal)) throw new ApiError('INTERNAL', `${right} is for nodes only`);
    const offered = isRaft ? requestProtocols(request) : sessionProtocols(request);
    this.#checkProtocols(nameOf(proof), offered);
    const peer = { ...principal, remoteAddress: addressOf(request.socket) };
    if (isRaft) await this.#checkMember(request, peer.nodeId);
    if (socket.destroyed) return;
    this.#door.takeOver(request.socket, isRaft ? 'raft' : 'agent');
    const server = isRaft ? this.#raftSockets : this.#agentSockets;
    server.handleUpgrade(request, socket, head, (opened) => {
      if (isRaft) this.#options.raft.accept(opened, { nodeId: peer.nodeId }, path);
      else {
        const protocol = dispatcherProtocol(opened.protocol) ?? PROGRAM.Protocol.Oldest;
        this.#routes.dispatcher(opened, { ...peer, protocol });
      }
    });
  }

  /** Takes a member's word for its own address, unless it is the copy of another. @throws ApiError */
  async #checkMember({ headers, socket }: IncomingMessage, nodeId: string): Promise<void> {
    const { instances } = this.#routes;
    await instances.check(nodeId, headers[INSTANCE_HEADER]);
    const closed = instances.opened(nodeId, headers[INSTANCE_HEADER]);
    if (socket.destroyed) closed();
    else socket.once('close', closed);
    const claimed = parseHostPort(headers[ADDRESS_HEADER]);
    if (claimed !== undefined) this.#options.moved.note(nodeId, formatHostPort(claimed));
  }

  /** Admits a request for the API. The API's router then finds the route and checks the right to it. */
  async #api(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const proof = this.#prove(request.socket);
    const principal = await this.#admit(request, proof, ANY_API_RIGHT, response);
    const forwarded = request.headers[FORWARDED_HEADER];
    if (forwarded === undefined && request.headers[PEER_HEADER] === undefined) {
      this.#options.api.handle(request, response, { principal, proof: proof! });
      return;
    }
    // Only a manager gets here, for itself or for the peer it names, whose rights are checked again.
    if (principal.kind !== 'manager' || forwarded !== principal.nodeId) {
      throw new ApiError('BAD_REQUEST', `the header ${FORWARDED_HEADER} names another node`);
    }
    this.#checkProtocols(nameOf(proof), requestProtocols(request));
    const peer = readPeer(request);
    const forwardedBy = principal.nodeId;
    if (peer?.proof === undefined) {
      this.#options.api.handle(request, response, { principal, proof: proof!, forwardedBy });
      return;
    }
    const { authority, trust } = this.#routes;
    checkValidity(peer.proof, trust().nowMs);
    const first = await authority.admit(peer.proof, ANY_API_RIGHT);
    this.#options.api.handle(request, response, {
      principal: first,
      proof: peer.proof,
      forwardedBy,
    });
  }

  /** @throws ApiError WRONG_VERSION when a peer and this manager have no protocol in common */
  #checkProtocols(name: string, protocols: VersionWindow): void {
    if (highestCommon(PROGRAM.Protocol, protocols) !== undefined) return;
    const own = {
      name: `the manager at ${this.#options.advertiseAddress}`,
      protocols: PROGRAM.Protocol,
    };
    throw new ApiError('WRONG_VERSION', protocolProblem({ name, protocols }, own));
  }

  /** The node in whose share the connection counts. A bad certificate is refused later, with the reason. */
  #nodeAt(socket: TLSSocket): ProvedNode | undefined {
    try {
      const proof = this.#prove(socket);
      if (proof === undefined) return undefined;
      const isManager = this.#routes.authority.holds(proof, FORWARD);
      return { nodeId: proof.subject.nodeId, role: isManager ? 'manager' : 'worker' };
    } catch (error) {
      if (error instanceof ApiError) return undefined;
      throw error;
    }
  }

  #bodiesOf({ socket }: IncomingMessage): BodyReader {
    return this.#bodies[this.#door.nodeOf(socket)?.role ?? 'unproved'];
  }

  #budgets(): ConnectionBudgets<Connection> {
    const descriptors = descriptorLimit();
    if (descriptors < DESCRIPTORS_NEEDED)
      this.#logger.warn(
        { descriptors, needed: DESCRIPTORS_NEEDED },
        'this process may open too few files for 10,000 nodes: raise LimitNOFILE or `ulimit -n`',
      );
    return new ConnectionBudgets(limitsFor(descriptors));
  }

  /**
   * What the certificate at the other end proves; undefined without one.
   * @param isTimeless whether a certificate outside of its time will do
   * @throws ApiError UNAUTHENTICATED, CERTIFICATE_EXPIRED
   */
  #prove(socket: Duplex, isTimeless = false): Proof | undefined {
    if (!(socket instanceof TLSSocket)) return undefined;
    const trust = this.#routes.trust();
    const known = this.#proofs.get(socket);
    let proof = known?.root === trust.rootCertificate ? known.proof : undefined;
    if (proof === undefined) {
      if (socket.getPeerX509Certificate() === undefined) return undefined;
      proof = prove(socket, trust);
      this.#proofs.set(socket, { proof, root: trust.rootCertificate });
    }
    if (!isTimeless) checkValidity(proof, trust.nowMs);
    return proof;
  }

  /** @throws ApiError CERTIFICATE_EXPIRED, UNAUTHENTICATED */
  #checkTime(proof: Proof, path: string): void {
    try {
      checkValidity(proof, this.#routes.trust().nowMs);
    } catch (error) {
      if (path === DISPATCHER_PATH) this.#routes.expired(proof);
      throw error;
    }
  }

  /** @throws ApiError when the table of rights does not allow it */
  async #admit(
    request: IncomingMessage,
    proof: Proof | undefined,
    right: string,
    response?: ServerResponse,
  ): Promise<Principal> {
    const { authority, standing, strangers } = this.#routes;
    const principal = await authority.admit(proof, right).catch((error: unknown) => {
      if (proof !== undefined && error instanceof ApiError && error.code === 'UNKNOWN_NODE') {
        strangers.note(proof.subject.nodeId, addressOf(request.socket));
      }
      throw error;
    });
    const exchange = response === undefined ? undefined : { request, response };
    if (proof !== undefined) standing.note(request.socket, proof, right, exchange);
    return principal;
  }

  /** Admits a manager that asks for another peer, which the route judges. @throws ApiError NOT_IN_SWARM */
  async #admitForwarder(
    request: IncomingMessage,
    proof: Proof | undefined,
    response: ServerResponse,
  ): Promise<void> {
    try {
      await this.#admit(request, proof, FORWARD, response);
    } catch (error) {
      const isDenied = error instanceof ApiError && error.status === 403;
      throw isDenied ? noForwarder() : error;
    }
  }

  #refuseRequest(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const known = this.#known(request, error);
    if (response.headersSent) response.destroy();
    else this.#bodiesOf(request).refuse(request, response, known);
  }

  /** The error that the peer gets. Logs it too. */
  #known(request: IncomingMessage, thrown: unknown): ApiError {
    const error = asApiError(thrown);
    const about = {
      remoteAddress: addressOf(request.socket),
      method: request.method,
      path: pathOf(request).slice(0, PATH_LOG_LIMIT),
    };
    if (error instanceof ApiError && error.code !== 'INTERNAL') {
      const { code, message: reason } = error;
      this.#refusals.refused({ ...about, code, reason }, 'refused a request on the managers’ port');
      return error;
    }
    this.#logger.error(
      { err: thrown, ...about },
      'a request among nodes failed by a fault of ours',
    );
    return new ApiError('INTERNAL', `internal error: ${(thrown as Error).message}; see the log`);
  }
}

const PATH_LOG_LIMIT = 100;
const DISPATCHER_PATH = '/dispatcher';
/** The right that everybody has who may use the API at all. */
const ANY_API_RIGHT: Right = 'GET /_ping';

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): ApiError {
  if (error.code === 'EADDRINUSE')
    return new ApiError(
      'FAILED_PRECONDITION',
      `port ${port} on ${host} is taken by another program: free it, or choose another with --listen-addr`,
    );
  return new ApiError(
    'INVALID_ARGUMENT',
    `cannot listen on ${host}:${port}: ${systemProblem(error)}; give an address of this host with --listen-addr`,
  );
}

function nameOf(proof: Proof | undefined): string {
  return proof === undefined ? 'the joining node' : `node ${proof.subject.nodeId}`;
}

/** @throws ApiError BAD_REQUEST */
function requestProtocols(request: IncomingMessage): VersionWindow {
  const window = parseWindow(request.headers[PROTOCOL_HEADER]);
  if (window !== undefined) return window;
  throw new ApiError('BAD_REQUEST', `the header ${PROTOCOL_HEADER} names no protocols`);
}

/** @throws ApiError BAD_REQUEST */
function sessionProtocols(request: IncomingMessage): VersionWindow {
  const header = request.headers['sec-websocket-protocol'];
  const offered = header === undefined ? [] : header.split(',').map((each) => each.trim());
  const window = offeredProtocols(offered);
  if (window !== undefined) return window;
  throw new ApiError('BAD_REQUEST', 'the WebSocket offers no subprotocol of a dispatcher session');
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0]!;
}

function addressOf(socket: Duplex): string {
  return ((socket as Partial<Socket>).remoteAddress ?? '').replace(/^::ffff:/, '');
}
