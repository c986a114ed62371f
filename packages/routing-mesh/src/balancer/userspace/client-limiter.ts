import { isIpv6, parseIpAddress } from '@swarm/api';
import { addressBytes } from '../../address-bytes.js';
import { type ClientLimits, PERIOD_S } from '../../client-limits.js';

/** Clients without connections whose pace is remembered. */
const IDLE_CLIENTS_LIMIT = 16_384;

interface Client {
  open: number;
  /** New connections that it may make now, as of `atMs`. */
  room: number;
  atMs: number;
}

/** Refused attempts. */
export interface LimitRefusals {
  readonly count: number;
  /** The client of one of them. */
  readonly from: string;
}

/**
 * Holds the clients of one published port to its limits. Counts connections also while there are no limits, so that
 * new limits know of them; it never ends any.
 */
export class ClientLimiter {
  #limits: ClientLimits | undefined;
  readonly #clients = new Map<string, Client>();
  /** Those of them without connections; the one heard from last comes last. */
  readonly #idle = new Set<string>();
  #refused: LimitRefusals | undefined;

  follow(limits: ClientLimits | undefined): void {
    this.#limits = limits;
  }

  /**
   * Admits a new connection, which `leave` has to end, or counts it as refused.
   * @param from the client's address
   */
  admit(from: string, nowMs: number): boolean {
    const name = clientName(from);
    const { connections = Infinity, rate } = this.#limits ?? {};
    const burst = rate?.burst ?? 0;
    const client = this.#clients.get(name) ?? { open: 0, room: burst, atMs: nowMs };
    if (rate !== undefined) {
      const perMs = rate.count / (PERIOD_S[rate.per] * 1000);
      client.room = Math.min(burst, client.room + (nowMs - client.atMs) * perMs);
    }
    client.atMs = nowMs;
    const isAdmitted = client.open < connections && (rate === undefined || client.room >= 1);
    if (isAdmitted) {
      client.open += 1;
      client.room -= rate === undefined ? 0 : 1;
    } else this.#refused = { count: (this.#refused?.count ?? 0) + 1, from };
    this.#remember(name, client);
    return isAdmitted;
  }

  /** A connection of this client ended. */
  leave(from: string): void {
    const name = clientName(from);
    const client = this.#clients.get(name);
    if (client === undefined) return;
    client.open -= 1;
    this.#remember(name, client);
  }

  /** What was refused since the last call. */
  takeRefused(): LimitRefusals | undefined {
    const refused = this.#refused;
    this.#refused = undefined;
    return refused;
  }

  #remember(name: string, client: Client): void {
    this.#clients.set(name, client);
    this.#idle.delete(name);
    if (client.open > 0) return;
    this.#idle.add(name);
    if (this.#limits?.rate !== undefined && this.#idle.size <= IDLE_CLIENTS_LIMIT) return;
    const [oldest] = this.#idle;
    this.#idle.delete(oldest!);
    this.#clients.delete(oldest!);
  }
}

/** Who counts as one client: an IPv4 address, or a /64 network, of which a host of IPv6 has all addresses. */
function clientName(text: string): string {
  const address = parseIpAddress(text.split('%', 1)[0]);
  if (address === undefined || !isIpv6(address)) return text;
  return addressBytes(address).slice(0, 8).join(':');
}
