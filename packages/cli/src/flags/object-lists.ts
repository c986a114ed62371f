import { isDeepStrictEqual } from 'node:util';
import {
  type Mount,
  type NetworkAttachmentConfig,
  type Placement,
  type PortConfig,
  parseIpAddress,
} from '@swarm/api/client';
import { UsageError } from '../command.js';
import type { ListFlag } from './list-change.js';
import { parsePreference, parseUlimit } from './lists.js';
import { parseMount } from './mount.js';
import { parseNetwork } from './network.js';
import { parsePortRules } from './publish.js';
import { attribute } from './text-lists.js';

/** Mounts by their target. `--mount-rm` takes the target, or a mount as `--mount` does. */
export const MOUNT: ListFlag<Mount> = {
  ...{ name: 'mount', what: 'mount', once: true },
  key: ({ Target }) => folder(Target),
  same: isDeepStrictEqual,
  show: ({ Type, Source, Target }) => `${Target} (${Source === undefined ? Type : Source})`,
  find(text, items) {
    const isTarget = text.startsWith('/') || !text.includes('=');
    const target = folder(isTarget ? text : parseMount(text).Target);
    return items.filter(({ Target }) => folder(Target) === target);
  },
};

/** A path without doubled slashes and the final one. */
function folder(path: string): string {
  return path.replace(/\/+/g, '/').replace(/(?<=.)\/$/, '');
}

/**
 * Networks by name. `--network-rm` takes the name or id, or a network as `--network` does.
 * @param names of networks by their ids, as specs have them
 */
export function networkList(
  names: ReadonlyMap<string, string> = new Map(),
): ListFlag<NetworkAttachmentConfig> {
  const nameOf = (target: string): string => names.get(target) ?? target;
  return {
    ...{ name: 'network', what: 'network' },
    key: ({ Target }) => nameOf(Target),
    same: (a, b) =>
      isDeepStrictEqual({ ...a, Target: nameOf(a.Target) }, { ...b, Target: nameOf(b.Target) }),
    show: ({ Target }) => nameOf(Target),
    find(text, items) {
      const name = nameOf(parseNetwork(text).Target);
      return items.filter(({ Target }) => nameOf(Target) === name);
    },
  };
}

type Ulimit = ReturnType<typeof parseUlimit>;

/** Limits by name. `--ulimit-rm` takes the name, or `NAME=SOFT[:HARD]` for exactly that limit. */
export const ULIMIT: ListFlag<Ulimit> = {
  ...{ name: 'ulimit', what: 'ulimit' },
  key: ({ Name }) => Name,
  same: (a, b) => a.Soft === b.Soft && a.Hard === b.Hard,
  show: ({ Name, Soft, Hard }) => (Soft === Hard ? `${Name}=${Soft}` : `${Name}=${Soft}:${Hard}`),
  find(text, items) {
    if (!text.includes('=')) return items.filter(({ Name }) => Name === text);
    const { Name: name, Soft: soft, Hard: hard } = parseUlimit(text);
    return items.filter(({ Name, Soft, Hard }) => Name === name && Soft === soft && Hard === hard);
  },
};

type Preference = NonNullable<Placement['Preferences']>[number];

/** Preferences by what they spread over. `--placement-pref-rm` takes `spread=node.labels.X`, or only what follows. */
export const PREFERENCE: ListFlag<Preference> = {
  ...{ name: 'placement-pref', what: 'placement preference' },
  key: ({ Spread }) => attribute(Spread?.SpreadDescriptor ?? ''),
  same: () => true,
  show: ({ Spread }) => `spread=${Spread?.SpreadDescriptor ?? ''}`,
  find(text, items) {
    const wanted = text.includes('=') ? parsePreference(text).Spread?.SpreadDescriptor : text;
    return items.filter((item) => PREFERENCE.key(item) === attribute(wanted ?? ''));
  },
};

/** Lines of /etc/hosts (`IP NAME`). `--host-rm` takes `NAME:IP`, or a name for all of its addresses. */
export const HOST: ListFlag<string> = {
  ...{ name: 'host', what: 'host' },
  key: (line) => hostOf(line).join(' '),
  same: () => true,
  show(line) {
    const [address, name] = hostOf(line);
    return `${name}:${address}`;
  },
  find(text, items) {
    const at = text.indexOf(':');
    if (at === 0) throw new UsageError(`bad format for --host-rm: '${text}': use HOST or HOST:IP`);
    const name = (at === -1 ? text : text.slice(0, at)).toLowerCase();
    const address = at === -1 ? undefined : canonical(text.slice(at + 1));
    return items.filter((line) => {
      const host = hostOf(line);
      return host[1] === name && (address === undefined || host[0] === address);
    });
  },
};

/** One line for each name: a client of the API may have put several names on one. */
export function hostLines(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const [address, ...names] = line.trim().split(/\s+/);
    return names.length > 1 ? names.map((name) => `${address} ${name}`) : [line];
  });
}

function hostOf(line: string): [address: string, name: string] {
  const [address = '', name = ''] = line.trim().split(/\s+/);
  return [canonical(address), name.toLowerCase()];
}

function canonical(address: string): string {
  const bare = address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
  return parseIpAddress(bare) ?? bare;
}

/**
 * Published ports. A published port of a protocol can only lead to one target, so adding another target for
 * it replaces the mapping. `--publish-rm` takes the target port, else the published one, or both.
 * @param assigned ports of the service's endpoint: they tell which published port the cluster chose
 */
export function portList(assigned: readonly PortConfig[]): ListFlag<PortConfig> {
  const publishedAs = (port: PortConfig): number | undefined =>
    port.PublishedPort ||
    assigned.find(
      (each) =>
        each.TargetPort === port.TargetPort &&
        each.Protocol === port.Protocol &&
        each.PublishMode === port.PublishMode,
    )?.PublishedPort;
  return {
    ...{ name: 'publish', what: 'published port', once: true },
    key: ({ Protocol, TargetPort, PublishedPort, PublishMode }) =>
      PublishedPort
        ? `${Protocol} ${PublishedPort}`
        : `${Protocol} to ${TargetPort} ${PublishMode}`,
    same: (a, b) =>
      a.TargetPort === b.TargetPort &&
      a.PublishMode === b.PublishMode &&
      a.HostIP === b.HostIP &&
      a.ProxyProtocol === b.ProxyProtocol &&
      isDeepStrictEqual(a.ClientLimits, b.ClientLimits),
    show(port) {
      const published = publishedAs(port);
      const ports = published === undefined ? port.TargetPort : `${published}:${port.TargetPort}`;
      const host = port.HostIP === undefined ? '' : ` at ${port.HostIP}`;
      return `${ports}/${port.Protocol}${port.PublishMode === 'host' ? ' (host)' : ''}${host}`;
    },
    find(text, items) {
      return parsePortRules(text).flatMap(({ protocol, target, published, mode, hostIp }) => {
        const alike = items.filter(
          (item) =>
            item.Protocol === protocol &&
            (mode ?? item.PublishMode) === item.PublishMode &&
            (hostIp ?? item.HostIP) === item.HostIP,
        );
        const has = (wanted: number | undefined) => (item: PortConfig) =>
          publishedAs(item) === wanted;
        if (target === undefined) return alike.filter(has(published));
        const to = alike.filter((item) => item.TargetPort === target);
        if (published !== undefined) return to.filter(has(published));
        // As with Docker, a single number is the target; it may as well be the port that users see.
        return to.length > 0 ? to : alike.filter(has(target));
      });
    },
  };
}
