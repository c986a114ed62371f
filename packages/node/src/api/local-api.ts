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
import type { LocalRoute, LocalServices } from './local-call.js';
import type { NodeControl } from './node-control.js';
import { notAManager } from './not-a-manager.js';
import { restoreRoutes } from './routes/restore.js';
import { swarmRoutes } from './routes/swarm.js';
import { systemRoutes } from './routes/system.js';

export interface LocalApiOptions {
  readonly control: NodeControl;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** Version of this product, as `docker version` shows it. */
  readonly version: string;
  readonly limits?: Partial<HttpLimits & { readonly joinMs: number }>;
}

/** Docker's 20 s. */
const JOIN_MS = 20_000;

/** What every node answers by itself, manager or not. */
export const LOCAL_ROUTES: readonly LocalRoute[] = [
  ...systemRoutes,
  ...swarmRoutes,
  ...restoreRoutes,
];

/** What an engine has as well as the cluster: on a node that is no manager it is the engine's alone. */
const ALSO_OF_ENGINES: readonly string[] = [
  'GET /events',
  'GET /networks',
  'POST /networks/create',
  'GET /networks/{id}',
  'DELETE /networks/{id}',
];

/** A manager's part, and the routes of both. */
interface ManagerServed {
  readonly api: ManagerApi;
  readonly router: Router<HttpRoute<Caller>>;
}

/** The row of the table of rights for all that the cluster does not serve. */
const ENGINE_RIGHT: Right = 'engine';

/**
 * Docker's API for one node. A manager's routes come to it while the node is one; until then those say
 * why they are not served. The same handler answers the unix socket and, called by the port for nodes with the
 * identity of the peer's certificate, other managers.
 */
export class LocalApi implements Site<Caller> {
  /** What listens, or is handed the requests of the port for nodes. */
  readonly server: HttpServer<Caller>;
  readonly #options: LocalApiOptions;
  readonly #services: LocalServices;
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
    this.#asWorker = new Router([...this.#local(), ...this.#standIns()]);
  }

  /** What a manager's part of the API needs of this one. */
  get shared(): Pick<
    ManagerApiOptions,
    'clock' | 'randomBytes' | 'logger' | 'bodies' | 'engine' | 'closing'
  > {
    const { clock, randomBytes, logger } = this.#options;
    const { bodies, closing } = this.server;
    return { clock, randomBytes, logger, bodies, engine: this.#services.engine, closing };
  }

  /** The node became a manager, or ceased to be one. */
  serveManager(api: ManagerApi | undefined): void {
    this.#asManager?.api.close();
    this.#asManager =
      api === undefined
        ? undefined
        : { api, router: new Router([...this.#local(), ...api.routes]) };
  }

  /** Full rights for whoever may open the socket, as with Docker's. @throws Error EADDRINUSE */
  async listen(socketPath: string): Promise<void> {
    await this.server.listen(socketPath, { principal: LOCAL });
  }

  async close(): Promise<void> {
    await this.server.close();
    this.serveManager(undefined);
  }

  /** Docker's names. */
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
    await this.#engineFor(caller).pass(request, response, target);
  }

  /** Only the engine has what takes over its connection. */
  async upgrade({ request, socket, head, target, caller }: UpgradeCall<Caller>): Promise<void> {
    await this.#engineFor(caller).hijack(request, socket, head, target);
  }

  /** While the node says that it is a manager: one that starts, or leaves, answers for nobody. */
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

  /** In place of the manager's routes, as the table of rights names them. */
  #standIns(): HttpRoute<Caller>[] {
    const own = new Set(LOCAL_ROUTES.map(({ method, pattern }) => `${method} ${pattern}`));
    return ALL_RIGHTS.flatMap((right) => {
      const [, method, pattern] = /^(GET|HEAD|POST|PUT|DELETE) (\/.*)$/.exec(right) ?? [];
      if (method === undefined || pattern === undefined) return [];
      // What nodes alone may ask is no part of this API.
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

  /** The host's engine, for whom may use it. @throws ApiError NOT_FOUND: for others there is no such page */
  #engineFor({ principal }: Caller): Engine {
    const { engine } = this.#services;
    if (engine === undefined || !mayUse(principal.kind, ENGINE_RIGHT))
      throw new ApiError('NOT_FOUND', 'page not found');
    return engine;
  }
}

/** Who forwards speaks for somebody else; that is for what only the leader answers. */
function notForwarded({ path }: Target): ApiError {
  return new ApiError('BAD_REQUEST', `${path} is not answered by the leader alone`);
}
