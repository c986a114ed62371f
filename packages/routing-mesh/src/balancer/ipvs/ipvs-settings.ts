import type { RunCommand } from '../../kernel/command.js';
import type { Kernel } from '../../kernel/kernel.js';
import { readSysctl } from '../../kernel/sysctls.js';
import { word, words } from '../../kernel/words.js';
import { TABLE, type TableFamily } from '../../layout.js';
import type { IpvsSocket } from './ipvs-socket.js';

/**
 * How long the kernel keeps a connection that both ends, or only one of them, hold open without a packet: five days, as
 * the limits of the packet filter. By default it would be 15 and 2 minutes.
 */
const HELD_OPEN_S = 432_000;

/**
 * What IPVS has to do in this network namespace, by number, since the packet filter remembers the former values under
 * these numbers. Never change the meaning of a number.
 *
 * - `conntrack`: the connection's mark and the packet filter's rules hold for balanced connections too.
 * - `expire_nodest_conn`: connections to a destination that was removed end, instead of hanging. A SYN to one that
 *   drains is led elsewhere.
 * - `conn_reuse_mode`: a SYN with the ports of a connection that has ended is led by weight. With 0 it would go where the
 *   former one went, also if that one drains.
 */
const SYSCTLS = [
  [1, 'conntrack', 1],
  [2, 'expire_nodest_conn', 1],
  [3, 'conn_reuse_mode', 1],
] as const;
const TCP = 4;
const TCP_FIN = 5;

/** Values of settings, by number. */
export type SettingValues = ReadonlyMap<number, number>;

/** The settings of IPVS in this network namespace. All services there share them, others' too. */
export class IpvsSettings {
  readonly #kernel: Kernel;
  readonly #socket: IpvsSocket;

  constructor(kernel: Kernel, socket: IpvsSocket) {
    this.#kernel = kernel;
    this.#socket = socket;
  }

  /** @throws Error when the kernel does not say */
  async read(): Promise<SettingValues> {
    const values = new Map<number, number>();
    for (const [id, name] of SYSCTLS) {
      const value = Number(await readSysctl(this.#kernel, `ipv4/vs/${name}`));
      values.set(id, Number.isSafeInteger(value) && value >= 0 ? value : 0);
    }
    const timeouts = this.#socket.timeouts();
    if (timeouts === undefined) throw new Error('the kernel does not name the limits of IPVS');
    return values.set(TCP, timeouts.tcp).set(TCP_FIN, timeouts.tcpFin);
  }

  /**
   * Makes IPVS work as balanced ports need it.
   * @returns whether anything was otherwise
   * @throws Error when the kernel refuses: without these, replies would not find back
   */
  async hold(): Promise<boolean> {
    return this.#write(wanted(await this.read()));
  }

  /** Puts back what was before us, except what somebody else has changed since. */
  async restore(before: SettingValues): Promise<void> {
    const now = await this.read();
    const ours = wanted(before);
    const back = [...before].filter(([id]) => now.get(id) === ours.get(id));
    await this.#write(new Map(back));
  }

  async #write(values: SettingValues): Promise<boolean> {
    const now = await this.read();
    let isChanged = false;
    for (const [id, name] of SYSCTLS) {
      const value = values.get(id);
      if (value === undefined || value === now.get(id)) continue;
      isChanged = true;
      await this.#kernel.writeFile(`/proc/sys/net/ipv4/vs/${name}`, `${value}`);
    }
    const timeouts = this.#socket.timeouts()!;
    const tcp = values.get(TCP) ?? timeouts.tcp;
    const tcpFin = values.get(TCP_FIN) ?? timeouts.tcpFin;
    if (tcp === timeouts.tcp && tcpFin === timeouts.tcpFin) return isChanged;
    this.#socket.setTimeouts({ ...timeouts, tcp, tcpFin });
    return true;
  }
}

/** What these become with us. */
function wanted(values: SettingValues): SettingValues {
  const longer = (id: number) => Math.max(HELD_OPEN_S, values.get(id) ?? 0);
  return new Map([
    ...SYSCTLS.map(([id, , value]) => [id, value] as const),
    [TCP, longer(TCP)],
    [TCP_FIN, longer(TCP_FIN)],
  ]);
}

/**
 * The settings before an earlier process of this backend, as its table remembers them. Skips what is not one.
 * @throws CommandError when there is no such table
 */
export async function rememberedSettings(
  run: RunCommand,
  family: TableFamily,
): Promise<SettingValues> {
  const where = words`-j list map ${word(family)} ${word(TABLE)} ${word('ipvs_before')}`;
  const ids: readonly unknown[] = [...SYSCTLS.map(([id]) => id), TCP, TCP_FIN];
  const values = new Map<number, number>();
  for (const [id, value] of readPairs(await run('nft', where))) {
    if (ids.includes(id) && Number.isSafeInteger(value) && (value as number) >= 0)
      values.set(id as number, value as number);
  }
  return values;
}

/** Parses `nft -j list map`. */
function* readPairs(json: string): Generator<readonly [unknown, unknown]> {
  const { nftables } = JSON.parse(json) as { nftables?: { map?: { elem?: unknown } }[] };
  for (const { map } of nftables ?? []) {
    for (const element of Array.isArray(map?.elem) ? (map.elem as unknown[]) : []) {
      if (Array.isArray(element)) yield [element[0], element[1]];
    }
  }
}
