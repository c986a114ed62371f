import type { StreamListener, StreamSocket } from '../../kernel/sockets.js';
import { proxyHeader } from './proxy-header.js';
import { openEach, type ProxyOptions, type Target } from './target.js';
import { TargetOrder } from './target-order.js';

/** Targets to try for one client. */
const MAX_TRIES = 5;
/** How long to wait for a target before trying another, ms. */
const CONNECT_TIMEOUT_MS = 2000;
/** Clients of one port at a time; more wait in the kernel's backlog, which has its own limit. */
const MAX_CONNECTIONS = 16_384;

/**
 * One published TCP port in user space: accepts clients, dials a random target, tries another one if that
 * fails, then copies both ways with back-pressure and half-close. Without targets there is no listener, so the
 * kernel refuses clients at once.
 */
export class TcpProxy {
  readonly #options: ProxyOptions;
  readonly #connections = new Map<StreamSocket, Target | undefined>();
  #listeners: StreamListener[] = [];
  #order = new TargetOrder([], { hasAffinity: false });
  #closed = false;

  constructor(options: ProxyOptions) {
    this.#options = options;
  }

  /**
   * Sends new clients to these. Clients of removed targets keep their connection.
   * @throws when the port cannot be bound; a later call tries again
   */
  async update(
    targets: readonly Target[],
    { hasAffinity }: { readonly hasAffinity: boolean } = { hasAffinity: false },
  ): Promise<void> {
    this.#order = new TargetOrder(targets, { hasAffinity });
    if (this.#order.isEmpty) this.#unlisten();
    else if (this.#listeners.length === 0 && !this.#closed) await this.#listen();
  }

  /** Resets the clients of a node that is gone. */
  resetNode(nodeId: string): void {
    for (const [client, target] of this.#connections) {
      if (target?.nodeId === nodeId) client.resetAndDestroy();
    }
  }

  /** Accepts no more clients; existing ones continue to their end. */
  async drain(): Promise<void> {
    this.#closed = true;
    this.#unlisten();
  }

  /** Accepts no more clients and ends existing ones. */
  async close(): Promise<void> {
    await this.drain();
    for (const client of this.#connections.keys()) client.resetAndDestroy();
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  async #listen(): Promise<void> {
    const { bindAddresses, port, sockets } = this.#options;
    this.#listeners = await openEach(bindAddresses, (address) =>
      sockets.listen({ address, port, connectionLimit: MAX_CONNECTIONS }, (client) =>
        this.#serve(client),
      ),
    );
    if (this.#closed) this.#unlisten();
  }

  #unlisten(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
  }

  #serve(client: StreamSocket): void {
    const { limiter, clock } = this.#options;
    const from = client.remoteAddress ?? '';
    client.on('error', () => {});
    if (limiter?.admit(from, clock.monotonicMs()) === false) {
      client.resetAndDestroy();
      return;
    }
    this.#connections.set(client, undefined);
    client.on('close', () => {
      this.#connections.delete(client);
      limiter?.leave(from);
    });
    client.setKeepAlive(true);
    // Once the client is gone, nothing says who it was.
    const { proxyProtocol } = this.#options;
    const header = proxyProtocol === undefined ? undefined : proxyHeader(proxyProtocol, client);
    this.#dial(client, header, this.#order.of(from, this.#options.random(), MAX_TRIES));
  }

  #dial(client: StreamSocket, header: Uint8Array | undefined, order: Target[]): void {
    const target = order.shift();
    if (target === undefined) {
      client.resetAndDestroy();
      return;
    }
    const { clock, sockets } = this.#options;
    const server = sockets.connect({ address: target.address, port: target.port });
    this.#connections.set(client, target);
    const abandon = (): void => {
      server.destroy();
    };
    const next = (): void => {
      clock.clearTimeout(timer);
      client.off('close', abandon);
      server.destroy();
      if (!client.destroyed) this.#dial(client, header, order);
    };
    const timer = clock.setTimeout(next, CONNECT_TIMEOUT_MS);
    client.once('close', abandon);
    server.once('error', next);
    server.once('connect', () => {
      clock.clearTimeout(timer);
      server.off('error', next);
      client.off('close', abandon);
      if (header !== undefined) server.write(header);
      join(client, server);
      join(server, client);
    });
  }
}

/** Copies one direction: an end becomes a half-close, a failure a reset of the other side. */
function join(from: StreamSocket, to: StreamSocket): void {
  from.pipe(to);
  from.on('error', () => to.resetAndDestroy());
  from.on('close', () => {
    // Both directions have ended: `to` closes by itself once its last bytes are out.
    if (!from.readableEnded) to.resetAndDestroy();
  });
}
