import { CommandError, type RunCommand } from '../../src/kernel/command.js';

/** A device as `ip -j -d addr show` lists it. */
interface FakeDevice {
  readonly ifname: string;
  readonly mtu: number;
  readonly address?: string;
  readonly addr_info: { readonly local: string }[];
  readonly linkinfo?: object;
}

/** Node 1's network on paper: keeps what `ip` and `bridge` are told about a tunnel, and lists it. */
export class PaperHost {
  readonly #devices = new Map<string, FakeDevice>();
  /** Of the main table, by destination. */
  readonly #routes = new Map<
    string,
    { readonly dst: string; readonly dev?: string; readonly gateway?: string }
  >();
  readonly #neighbours = new Map<string, string>();
  readonly #rules = new Set<number>();

  constructor(address = '198.18.0.1') {
    this.#devices.set('eth0', { ifname: 'eth0', mtu: 1500, addr_info: [{ local: address }] });
  }

  readonly run: RunCommand = async (program, args, input = '') => {
    if (args.includes('-j')) return JSON.stringify(this.#list(args.join(' ')));
    const failures: string[] = [];
    for (const line of input.split('\n').filter((each) => each !== '')) {
      const failure = this.#apply(line.split(' '));
      if (failure === undefined) continue;
      failures.push(`${failure}: ${line}`);
      if (!args.includes('-force')) break;
    }
    if (failures.length > 0) throw new CommandError(program, failures.join('\n'));
    return '';
  };

  /** Destinations of routes through a device. */
  through(device: string): string[] {
    return [...this.#routes.values()].filter(({ dev }) => dev === device).map(({ dst }) => dst);
  }

  /** Addresses of a device. */
  at(device: string): string[] {
    return (this.#devices.get(device)?.addr_info ?? []).map(({ local }) => local);
  }

  /** Blocks that lead nowhere. */
  get blackholes(): string[] {
    return [...this.#routes.values()].filter(({ dev }) => dev === undefined).map(({ dst }) => dst);
  }

  get neighbours(): string[] {
    return [...this.#neighbours.keys()];
  }

  removeRoute(destination: string): void {
    this.#routes.delete(destination);
  }

  #list(what: string): unknown[] {
    if (what.endsWith('addr show')) return [...this.#devices.values()];
    if (what.endsWith('link show type vxlan')) {
      return [...this.#devices.values()].filter(({ linkinfo }) => linkinfo !== undefined);
    }
    if (what.endsWith('route show table main')) return [...this.#routes.values()];
    if (what.endsWith('route show table main type blackhole'))
      return [...this.#routes.values()].filter(({ dev }) => dev === undefined);
    const through = /route show table main dev (\S+)$/.exec(what)?.[1];
    if (through !== undefined)
      return [...this.#routes.values()].filter(({ dev }) => dev === through);
    if (what.endsWith('rule show')) return [...this.#rules].map((priority) => ({ priority }));
    if (/neigh show dev/.test(what)) {
      return [...this.#neighbours].map(([dst, lladdr]) => ({ dst, lladdr }));
    }
    throw new Error(`this host does not list ${what}`);
  }

  /** @returns what the kernel says against it */
  #apply(words: readonly string[]): string | undefined {
    const [object, verb, ...rest] = words;
    const after = (name: string) => words[words.indexOf(name) + 1]!;
    const device = words.includes('dev') ? after('dev') : undefined;
    const isMissing = device !== undefined && !this.#devices.has(device);
    if (isMissing) return 'Cannot find device';
    switch (`${object} ${verb}`) {
      case 'link add':
        return this.#addTunnel(rest[0]!, words);
      case 'link del':
        return this.#removeDevice(rest[0]!);
      case 'link set':
        return this.#devices.has(rest[0]!) ? undefined : 'Cannot find device';
      case 'addr add':
        this.#devices.get(device!)!.addr_info.push({ local: rest[0]!.split('/')[0]! });
        return undefined;
      case 'addr del':
        return this.#removeAddress(device!, rest[0]!.split('/')[0]!);
      case 'route replace':
        if (words.includes('table')) return undefined;
        this.#routes.set(rest.find((word) => word !== 'blackhole')!, {
          dst: rest.find((word) => word !== 'blackhole')!,
          ...(device === undefined ? {} : { dev: device, gateway: after('via') }),
        });
        return undefined;
      case 'route del':
        return this.#routes.delete(rest.find((word) => word !== 'blackhole')!)
          ? undefined
          : 'No such process';
      case 'neigh replace':
        this.#neighbours.set(rest[0]!, after('lladdr'));
        return undefined;
      case 'neigh del':
        return this.#neighbours.delete(rest[0]!) ? undefined : 'No such file or directory';
      case 'rule add':
        if (this.#rules.has(Number(after('pref')))) return 'File exists';
        this.#rules.add(Number(after('pref')));
        return undefined;
      case 'rule del':
        return this.#rules.delete(Number(after('pref'))) ? undefined : 'No such file or directory';
      case 'route flush':
      case 'fdb replace':
      case 'fdb del':
        return undefined;
      default:
        throw new Error(`this host does not know ${words.join(' ')}`);
    }
  }

  #removeAddress(ifname: string, address: string): string | undefined {
    const { addr_info } = this.#devices.get(ifname)!;
    const at = addr_info.findIndex(({ local }) => local === address);
    if (at < 0) return 'Cannot assign requested address';
    addr_info.splice(at, 1);
    return undefined;
  }

  #addTunnel(ifname: string, words: readonly string[]): string | undefined {
    if (this.#devices.has(ifname)) return 'File exists';
    const after = (name: string) => words[words.indexOf(name) + 1]!;
    const data = { id: Number(after('id')), local: after('local'), port: Number(after('dstport')) };
    this.#devices.set(ifname, {
      ifname,
      mtu: 1500,
      address: after('address'),
      addr_info: [],
      linkinfo: { info_kind: 'vxlan', info_data: data },
    });
    return undefined;
  }

  /** Routes and neighbours go with their device. */
  #removeDevice(ifname: string): string | undefined {
    if (!this.#devices.delete(ifname)) return 'Cannot find device';
    for (const { dst, dev } of this.#routes.values()) if (dev === ifname) this.#routes.delete(dst);
    this.#neighbours.clear();
    return undefined;
  }
}
