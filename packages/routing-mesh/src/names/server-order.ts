import type { IpAddress } from '@swarm/api';

/** How long a server that did not answer comes after the others. */
const DEMOTED_MS = 10_000;
/** Servers that are remembered. */
const REMEMBERED_LIMIT = 1024;

/** In which order to ask name servers: as given, less those that were silent lately. */
export class ServerOrder {
  readonly #silentUntil = new Map<string, number>();

  /** @param nowMs of a clock that never goes back */
  of(servers: readonly IpAddress[], nowMs: number): readonly IpAddress[] {
    const isSilent = (server: IpAddress) => (this.#silentUntil.get(server) ?? 0) > nowMs;
    return [...servers.filter((each) => !isSilent(each)), ...servers.filter(isSilent)];
  }

  silent(server: IpAddress, nowMs: number): void {
    if (this.#silentUntil.size >= REMEMBERED_LIMIT) this.#silentUntil.clear();
    this.#silentUntil.set(server, nowMs + DEMOTED_MS);
  }

  answered(server: IpAddress): void {
    this.#silentUntil.delete(server);
  }
}
