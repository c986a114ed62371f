import { connect, createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { Clock } from '@swarm/api';
import { isFamilyMissing, type ProxyOptions, type Target, tryOrder } from './target.js';

/** Targets tried for one client at most. */
const MAX_TRIES = 5;
/** A target that does not answer within this is given up for another, ms. */
const CONNECT_TIMEOUT_MS = 2000;
/** Clients of one port at a time; more wait in the kernel's backlog, which has its own bound. */
const MAX_CONNECTIONS = 16_384;

/**
 * One published TCP port in user space: takes clients, dials a target at random, another one when that
 * refuses, then copies both ways with back-pressure and half-close. No target: no listener, so that the
 * kernel refuses clients at once.
 */
export class TcpProxy {
  readonly #options: ProxyOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #connections = new Map<Socket, Target | undefined>();
  #servers: Server[] = [];
  #targets: readonly Target[] = [];
  #closed = false;

  constructor(options: ProxyOptions & { clock: Clock; random: () => number }) {
    this.#options = options;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /**
   * New clients go to these. Clients of targets that are gone keep their connection.
   * @throws when the port can not be bound; a later call tries again
   */
  async update(targets: readonly Target[]): Promise<void> {
    this.#targets = targets;
    if (targets.length === 0) await this.#unlisten();
    else if (this.#servers.length === 0 && !this.#closed) await this.#listen();
  }

  /** Resets the clients of a node that is gone. */
  resetNode(nodeId: string): void {
    for (const [client, target] of this.#connections) {
      if (target?.nodeId === nodeId) client.resetAndDestroy();
    }
  }

  /** Takes no more clients; those there are go on to their end. */
  async drain(): Promise<void> {
    this.#closed = true;
    await this.#unlisten();
  }

  /** Takes no more clients and ends those there are. */
  async close(): Promise<void> {
    await this.drain();
    for (const client of this.#connections.keys()) client.resetAndDestroy();
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  async #listen(): Promise<void> {
    const servers: Server[] = [];
    let failure: unknown;
    for (const host of this.#options.bindAddresses) {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
      server.maxConnections = MAX_CONNECTIONS;
      server.on('connection', (client) => this.#serve(client));
      try {
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject);
          server.listen({ host, port: this.#options.port, ipv6Only: isIPv6(host) }, () => {
            server.off('error', reject);
            // A later error (out of file handles, say) costs that client only.
            server.on('error', () => {});
            resolve();
          });
        });
        servers.push(server);
      } catch (error) {
        if (!(isIPv6(host) && isFamilyMissing(error))) failure = error;
      }
    }
    this.#servers = servers;
    if (this.#closed) await this.#unlisten();
    if (failure !== undefined) {
      if (servers.length > 0) await this.#unlisten();
      throw failure;
    }
  }

  async #unlisten(): Promise<void> {
    const servers = this.#servers;
    this.#servers = [];
    // Not waited for: a server's close only ends with its last connection.
    for (const server of servers) server.close();
  }

  #serve(client: Socket): void {
    this.#connections.set(client, undefined);
    client.on('error', () => {});
    client.on('close', () => this.#connections.delete(client));
    client.setKeepAlive(true);
    this.#dial(client, tryOrder(this.#targets, this.#random(), MAX_TRIES));
  }

  #dial(client: Socket, order: Target[]): void {
    const target = order.shift();
    if (target === undefined) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({
      host: target.address,
      port: target.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
    });
    this.#connections.set(client, target);
    const abandon = (): void => {
      server.destroy();
    };
    const next = (): void => {
      this.#clock.clearTimeout(timer);
      client.off('close', abandon);
      server.destroy();
      if (!client.destroyed) this.#dial(client, order);
    };
    const timer = this.#clock.setTimeout(next, CONNECT_TIMEOUT_MS);
    client.once('close', abandon);
    server.once('error', next);
    server.once('connect', () => {
      this.#clock.clearTimeout(timer);
      server.off('error', next);
      client.off('close', abandon);
      join(client, server);
      join(server, client);
    });
  }
}

/** Copies one direction: an end becomes a half-close, a failure a reset of the other side. */
function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => to.resetAndDestroy());
  from.on('close', () => {
    // Both directions ended: `to` closes by itself once its last bytes are out.
    if (!from.readableEnded) to.resetAndDestroy();
  });
}
