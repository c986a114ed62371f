import { ApiError, type Clock, type Logger } from '@swarm/api';
import {
  API_VERSION_MAX,
  Engine,
  type HttpCall,
  type HttpLimits,
  type HttpRoute,
  HttpServer,
  type Method,
  Router,
  type Site,
  type Target,
  type UnroutedCall,
  type UpgradeCall,
} from '@swarm/http';
import { ALL_RIGHTS, type Caller, LOCAL, mayUse, requireRight, type Right } from '@swarm/identity';
import type { ManagerApi, ManagerApiOptions } from '@swarm/manager';
import type { AttachableContainers } from '@swarm/worker';
import { ContainerRequests, type EngineCall } from './containers/container-requests.js';
import { placedContainers } from './containers/placed-containers.js';
import type { LocalRoute, LocalServices } from './local-call.js';
import type { NodeControl } from './node-control.js';
import { notAManager } from './not-a-manager.js';
import { meshRoutes } from './routes/mesh.js';
import { restoreRoutes } from './routes/restore.js';
import { swarmRoutes } from './routes/swarm.js';
import { systemRoutes } from './routes/system.js';

export interface LocalApiOptions {
  readonly control: NodeControl;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** The product's version, as `docker version` shows it. */
  readonly version: string;
  readonly limits?: Partial<HttpLimits & { readonly joinMs: number }>;
}

/** As in Docker. */
const JOIN_MS = 20_000;

/** Routes that every node answers itself, manager or not. */
export const LOCAL_ROUTES: readonly LocalRoute[] = [
  ...systemRoutes,
  ...swarmRoutes,
  ...restoreRoutes,
  ...meshRoutes,
];

/** Routes of both the cluster and an engine. On a node that is not a manager the engine answers them alone. */
const ALSO_OF_ENGINES: readonly string[] = [
  'GET /events',
  'GET /networks',
  'POST /networks/create',
  'POST /networks/{id}/connect',
  'POST /networks/{id}/disconnect',
  'GET /networks/{id}',
  'DELETE /networks/{id}',
];

/** Routes of both managers and the containers of a node. */
const CONNECTIONS: readonly string[] = [
  'POST /networks/{id}/connect',
  'POST /networks/{id}/disconnect',
];

/** A manager's part, and the routes of both. */
interface ManagerServed {
  readonly api: ManagerApi;
  readonly router: Router<HttpRoute<Caller>>;
}

/** The row of the table of rights for everything that the cluster does not serve. */
const ENGINE_RIGHT: Right = 'engine';

/**
 * Docker's API for one node. While the node is a manager it has a manager's routes too; otherwise those
 * answer why they are not served. The same handler answers the unix socket and other managers: the port for
 * nodes calls it with the identity in the peer's certificate.
 */
export class LocalApi implements Site<Caller> {
  /** Listens on the socket, and takes requests from the port for nodes. */
  readonly server: HttpServer<Caller>;
  readonly #options: LocalApiOptions;
  readonly #services: LocalServices;
  readonly #containers: ContainerRequests | undefined;
  readonly #asWorker: Router<HttpRoute<Caller>>;
  #asManager: ManagerServed | undefined;

  constructor(options: LocalApiOptions) {
    const { control, clock, logger, limits = {}, version } = options;
    const { joinMs = JOIN_MS, ...ofServer } = limits;
    this.#options = options;
    this.server = new HttpServer({ site: this, clock, logger, limits: ofServer });
    this.#services = {
      control,
      clock,
      bodies: this.server.bodies,
      engine:
        control.engine === undefined ? undefined : new Engine(control.engine.socketPath, clock),
      version,
      joinMs,
      managerInfo: () => this.#managerApi()?.api.info() ?? {},
    };
    const { engine, bodies } = this.#services;
    if (engine !== undefined) {
      engine.placed = () => {
        const containers = this.#attachable();
        return containers === undefined || containers.isEmpty
          ? undefined
          : placedContainers(containers);
      };
      this.#containers = new ContainerRequests({
        engine,
        bodies,
        random: () => uniform(options.randomBytes),
      });
    }
    this.#asWorker = new Router([...this.#local(), ...this.#standIns()]);
  }

  /** What a manager's part of the API shares with this one. */
  get shared(): Pick<
    ManagerApiOptions,
    'clock' | 'randomBytes' | 'logger' | 'bodies' | 'engine' | 'closing'
  > {
    const { clock, randomBytes, logger } = this.#options;
    const { bodies, closing } = this.server;
    return { clock, randomBytes, logger, bodies, engine: this.#services.engine, closing };
  }

  /** Adds a manager's routes, or removes them when the node stops being a manager. */
  serveManager(api: ManagerApi | undefined): void {
    this.#asManager?.api.close();
    this.#asManager =
      api === undefined
        ? undefined
        : {
            api,
            router: new Router([...this.#local(), ...api.routes.map((one) => this.#first(one))]),
          };
  }

  /** Everybody who may open the socket has full rights, as with Docker's. @throws Error EADDRINUSE */
  async listen(socketPath: string): Promise<void> {
    await this.server.listen(socketPath, { principal: LOCAL });
  }

  async close(): Promise<void> {
    await this.server.close();
    this.serveManager(undefined);
  }

  /** The headers that Docker sends. */
  headers(): Record<string, string> {
    const { state, controlAvailable } = this.#options.control.info();
    const role = controlAvailable ? 'manager' : 'worker';
    return {
      'Api-Version': API_VERSION_MAX,
      'Docker-Experimental': 'false',
      Ostype: 'linux',
      Server: `Swarm/${this.#options.version} (linux)`,
      Swarm: state === 'active' ? `active/${role}` : state,
      'Cache-Control': 'no-cache, no-store, must-revalidate',
      Pragma: 'no-cache',
    };
  }

  find(method: string, path: string): ReturnType<Router<HttpRoute<Caller>>['find']> {
    return (this.#managerApi()?.router ?? this.#asWorker).find(method, path);
  }

  admit({ principal }: Caller, { method, pattern }: HttpRoute<Caller>): void {
    requireRight(principal, `${method} ${pattern}`);
  }

  async unrouted({ request, response, target, caller }: UnroutedCall<Caller>): Promise<void> {
    const engine = this.#engineFor(caller);
    if (await this.#servesContainer({ request, response, target })) return;
    const body = this.server.bodies.known(request);
    if (body === undefined) await engine.serve(request, response, target);
    else await engine.pass(request, response, target, body);
  }

  /** A route of managers; a connection to a network may be that of a container of this node. */
  #first(route: HttpRoute<Caller>): HttpRoute<Caller> {
    if (!CONNECTIONS.includes(`${route.method} ${route.pattern}`)) return route;
    return {
      ...route,
      handle: async (call) => {
        const isLocal = call.caller.principal.kind === 'local';
        if (!isLocal || !(await this.#servesContainer(call))) await route.handle(call);
      },
    };
  }

  #attachable(): AttachableContainers | undefined {
    return this.#options.control.attachable?.();
  }

  /** Answers what is about containers of the engine on networks of the cluster. @returns false for all else */
  async #servesContainer(call: EngineCall): Promise<boolean> {
    const containers = this.#attachable();
    return containers !== undefined && (await this.#containers?.serve(call, containers)) === true;
  }

  /** Only routes of the engine take over their connection. */
  async upgrade({ request, socket, head, target, caller }: UpgradeCall<Caller>): Promise<void> {
    await this.#engineFor(caller).hijack(request, socket, head, target);
  }

  /** Set while the node reports that it is a manager. A manager that is starting or leaving serves nobody. */
  #managerApi(): ManagerServed | undefined {
    return this.#options.control.manager() === undefined ? undefined : this.#asManager;
  }

  #local(): HttpRoute<Caller>[] {
    return LOCAL_ROUTES.map(({ method, pattern, handle }) => ({
      method,
      pattern,
      handle: (call) => {
        if (call.caller.forwardedBy !== undefined) throw notForwarded(call.target);
        return handle({ ...call, services: this.#services });
      },
    }));
  }

  /** Routes that stand in for the manager's, made from the table of rights. */
  #standIns(): HttpRoute<Caller>[] {
    const own = new Set(LOCAL_ROUTES.map(({ method, pattern }) => `${method} ${pattern}`));
    return ALL_RIGHTS.flatMap((right) => {
      const [, method, pattern] = /^(GET|HEAD|POST|PUT|DELETE) (\/.*)$/.exec(right) ?? [];
      if (method === undefined || pattern === undefined) return [];
      // Requests that only nodes may make are not part of this API.
      if (own.has(right) || !mayUse('local', right)) return [];
      const handle = (call: HttpCall<Caller>) => this.#standIn(right, call);
      return [{ method: method as Method, pattern, handle }];
    });
  }

  #standIn(right: string, call: HttpCall<Caller>): Promise<void> {
    if (ALSO_OF_ENGINES.includes(right) && this.#services.engine !== undefined)
      return this.unrouted(call);
    throw notAManager(this.#options.control.info());
  }

  /** The host's engine, for callers that may use it. @throws ApiError NOT_FOUND for all others */
  #engineFor({ principal }: Caller): Engine {
    const { engine } = this.#services;
    if (engine === undefined || !mayUse(principal.kind, ENGINE_RIGHT))
      throw new ApiError('NOT_FOUND', 'page not found');
    return engine;
  }
}

/** A number from 0 to below 1. */
function uniform(randomBytes: (size: number) => Uint8Array): number {
  const [high = 0, low = 0] = randomBytes(2);
  return (high * 256 + low) / 65_536;
}

/** A manager forwards only what the leader answers alone. */
function notForwarded({ path }: Target): ApiError {
  return new ApiError('BAD_REQUEST', `${path} is not answered by the leader alone`);
}
