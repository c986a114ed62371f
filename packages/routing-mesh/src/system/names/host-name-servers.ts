import { readFileSync, statSync } from 'node:fs';
import type { IpAddress } from '@swarm/api';
import { readResolvConf } from '../../names/resolv-conf.js';

/** How old what is known of the files may be. */
const FRESH_MS = 1_000;
/** systemd-resolved on this host, and where it names the servers that it asks itself. */
const RESOLVED_ADDRESS = '127.0.0.53';
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf';

/**
 * The name servers of this host, as its resolv.conf names them at the moment. Where that names systemd-resolved,
 * which answers this process like any other of the host, the servers behind it come after it.
 */
export class HostNameServers {
  readonly #path: string;
  readonly #resolvedPath: string;
  #servers: readonly IpAddress[] = [];
  #stamp = '';
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(path: string, resolvedPath: string = RESOLVED_CONF) {
    this.#path = path;
    this.#resolvedPath = resolvedPath;
  }

  servers(): readonly IpAddress[] {
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < FRESH_MS) return this.#servers;
    this.#lookedMs = nowMs;
    const stamp = `${stampOf(this.#path)} ${stampOf(this.#resolvedPath)}`;
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      const named = serversIn(this.#path);
      const behind = named.some((each) => each === RESOLVED_ADDRESS)
        ? serversIn(this.#resolvedPath)
        : [];
      this.#servers = [...new Set([...named, ...behind])];
    }
    return this.#servers;
  }
}

function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? 'none' : `${stat.dev}:${stat.ino}:${stat.mtimeNs}:${stat.size}`;
}

function serversIn(path: string): readonly IpAddress[] {
  try {
    return readResolvConf(readFileSync(path, 'latin1')).nameservers;
  } catch {
    return [];
  }
}
