import { readdir, readFile, writeFile } from 'node:fs/promises';
import type { Logger } from '@swarm/api';
import { type LinkName, TASK_LINK_PREFIX, TUNNEL_DEVICE } from '../layout.js';

const ROOT = '/proc/sys/net';

/** TIME_WAIT entries of forwarded connections are kept for so long (kernel default 120). */
const TIME_WAIT_S = 30;

/** Settings of the packet filter's state table; they exist once the table is loaded. */
export async function tuneConntrack(logger: Logger): Promise<void> {
  // A packet in the middle of an unknown connection must not be translated anew: after a node died its
  // entries are deleted, and the client shall get a reset, not a stranger.
  await set('netfilter/nf_conntrack_tcp_loose', '0', logger);
  await set('netfilter/nf_conntrack_tcp_timeout_time_wait', `${TIME_WAIT_S}`, logger);
}

/** Makes the node forward, and accept any client's address from the tunnel. */
export async function tuneForwarding(logger: Logger): Promise<void> {
  await set('ipv4/ip_forward', '1', logger);
  await moveReversePathFilter(logger);
  await set(`ipv4/conf/${TUNNEL_DEVICE}/rp_filter`, '0', logger);
}

/** A task can not send with another's address, and gets no redirects when it reaches itself. */
export async function tuneTaskLink(link: LinkName, logger: Logger): Promise<void> {
  await Promise.all([
    set(`ipv4/conf/${link}/rp_filter`, '1', logger),
    set(`ipv4/conf/${link}/send_redirects`, '0', logger),
  ]);
}

/**
 * A device's reverse path filter is the larger of `all` and its own, and the tunnel needs none: so what
 * `all` says is written to each other device before `all` becomes 0. Nothing gets less strict by it.
 */
async function moveReversePathFilter(logger: Logger): Promise<void> {
  const all = Number(await read('ipv4/conf/all/rp_filter'));
  if (all === 0) return;
  for (const device of await readdir(`${ROOT}/ipv4/conf`)) {
    if (device === 'all' || device === TUNNEL_DEVICE || device.startsWith(TASK_LINK_PREFIX))
      continue;
    const own = Number(await read(`ipv4/conf/${device}/rp_filter`));
    if (own < all) await set(`ipv4/conf/${device}/rp_filter`, `${all}`, logger);
  }
  await set('ipv4/conf/all/rp_filter', '0', logger);
  logger.info({ was: all }, 'moved the reverse path filter from "all" to the devices there are');
}

async function read(name: string): Promise<string> {
  try {
    return (await readFile(`${ROOT}/${name}`, 'utf8')).trim();
  } catch {
    return '0';
  }
}

async function set(name: string, value: string, logger: Logger): Promise<void> {
  try {
    await writeFile(`${ROOT}/${name}`, value);
  } catch (error) {
    logger.warn({ err: error, sysctl: `net/${name}`, value }, 'can not set this; set it by hand');
  }
}
