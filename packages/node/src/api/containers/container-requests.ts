import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '@swarm/api';
import {
  type BodyReader,
  type Engine,
  type EngineReply,
  parseJson,
  sendEmpty,
  type Target,
} from '@swarm/http';
import type { AttachableContainers, WantedNetwork } from '@swarm/worker';
import {
  endpointAliases,
  fieldsOf,
  type NamedNetwork,
  namedNetworks,
  splitCreate,
  textOf,
} from './create-request.js';

export interface ContainerRequestsOptions {
  readonly engine: Engine;
  readonly bodies: BodyReader;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/** One request of a local client for the engine. */
export interface EngineCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
}

const STARTED = /^\/containers\/([^/]+)\/(?:start|restart)$/;
const CHANGED = /^\/networks\/([^/]+)\/(connect|disconnect)$/;

/** Requests of local clients about containers that join networks of the cluster. The engine answers all others. */
export class ContainerRequests {
  readonly #options: ContainerRequestsOptions;

  constructor(options: ContainerRequestsOptions) {
    this.#options = options;
  }

  /** @returns false when the request is not about such a container; it may have been read then. @throws ApiError */
  async serve(call: EngineCall, containers: AttachableContainers): Promise<boolean> {
    const { method = 'GET' } = call.request;
    if (method !== 'POST') return false;
    const { path } = call.target;
    if (path === '/containers/create') return this.#create(call, containers);
    const started = STARTED.exec(path)?.[1];
    if (started !== undefined) return this.#start(call, containers, decoded(started));
    const [, network, action] = CHANGED.exec(path) ?? [];
    if (network === undefined) return false;
    return this.#change(call, containers, decoded(network), action === 'connect');
  }

  async #create(call: EngineCall, containers: AttachableContainers): Promise<boolean> {
    const { engine, bodies, random } = this.#options;
    const { request, response, target } = call;
    const raw = await bodies.read(request);
    const body = fieldsOf(parseJson(raw));
    const named = namedNetworks(body);
    const networks: WantedNetwork[] = [];
    const others: string[] = [];
    for (const one of named) {
      const found = await this.#clusters(containers, one);
      if (found === undefined) others.push(one.name);
      else networks.push(found);
    }
    if (networks.length === 0) {
      await engine.pass(request, response, target, raw);
      return true;
    }
    if (others.length > 0) {
      throw new ApiError(
        'UNIMPLEMENTED',
        `a container cannot be on the network ${networks[0]!.name} of the cluster and on ${others[0]}, which is not one, at once`,
      );
    }
    const { wish, rest } = splitCreate(body, random);
    let reply: EngineReply | undefined;
    try {
      await containers.create({ ...wish, networks }, async (NetworkMode) => {
        const HostConfig = { ...fieldsOf(rest.HostConfig), NetworkMode };
        reply = await engine.send('POST', target, { ...rest, HostConfig });
        if (reply.status !== 201) throw new EngineRefusal();
        return textOf(fieldsOf(JSON.parse(reply.body.toString())).Id);
      });
    } catch (error) {
      if (!(error instanceof EngineRefusal)) throw error;
    }
    answer(response, reply!);
    return true;
  }

  async #start(call: EngineCall, containers: AttachableContainers, name: string): Promise<boolean> {
    const id = await this.#idOf(containers, name);
    if (id === undefined) return false;
    const { request, response, target } = call;
    await containers.run(id, () => this.#options.engine.pass(request, response, target));
    return true;
  }

  async #change(
    { request, response }: EngineCall,
    containers: AttachableContainers,
    name: string,
    isConnect: boolean,
  ): Promise<boolean> {
    const body = fieldsOf(parseJson(await this.#options.bodies.read(request)));
    const id = await this.#idOf(containers, textOf(body.Container));
    if (id === undefined) return false;
    const endpoint = fieldsOf(body.EndpointConfig);
    const aliases = isConnect ? endpointAliases(name, endpoint) : [];
    const known = containers
      .get(id)
      ?.wish.networks.find((one) => [one.id, one.name].includes(name));
    const network = known ?? (await this.#clusters(containers, { name, aliases }));
    if (network === undefined) {
      throw new ApiError(
        'NOT_FOUND',
        `network ${name} is not one of the cluster: a container on networks of the cluster cannot be on others`,
      );
    }
    if (isConnect) await containers.connect(id, { ...network, aliases });
    else await containers.disconnect(id, network.id);
    sendEmpty(response);
    return true;
  }

  /** The network if it is the cluster's. The engine's own come first, as with Docker. */
  async #clusters(
    containers: AttachableContainers,
    { name, aliases }: NamedNetwork,
  ): Promise<WantedNetwork | undefined> {
    const own = await this.#options.engine.ask(`/networks/${encodeURIComponent(name)}`);
    if (own !== undefined) return undefined;
    const found = await containers.find(name);
    return found && { id: found.ID, name: found.Name, aliases };
  }

  /** The whole id of a container that is one of these. */
  async #idOf(containers: AttachableContainers, name: string): Promise<string | undefined> {
    if (containers.isEmpty || name === '') return undefined;
    if (containers.get(name) !== undefined) return name;
    const found = await this.#options.engine.ask(`/containers/${encodeURIComponent(name)}/json`);
    const id = textOf(fieldsOf(found).Id);
    return containers.get(id) === undefined ? undefined : id;
  }
}

/** The engine refused; its answer is the client's. */
class EngineRefusal extends Error {}

function answer(response: ServerResponse, { status, body }: EngineReply): void {
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': body.byteLength,
  });
  response.end(body);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
