import type { NetworkAttachmentConfig } from '@swarm/api';
import { type Arguments, UsageError } from '../command.js';
import { parseFields } from './values.js';

/** Parses one `--network` value: `NAME`, or `name=NAME,alias=…,driver-opt=KEY=VALUE`. The daemon checks it. */
export function parseNetwork(text: string): NetworkAttachmentConfig {
  if (!text.includes('=')) return { Target: text };
  let target = '';
  const aliases: string[] = [];
  const options: Record<string, string> = {};
  for (const [key, value = ''] of parseFields('network', text)) {
    if (key === 'name') target = value;
    else if (key === 'alias') aliases.push(value);
    else if (key === 'driver-opt') {
      const [name, ...rest] = value.split('=');
      options[name!] = rest.join('=');
    } else
      throw new UsageError(
        `invalid argument '${text}' for --network: unknown field '${key}': use name, alias and driver-opt`,
      );
  }
  return {
    Target: target,
    ...(aliases.length === 0 ? {} : { Aliases: aliases }),
    ...(Object.keys(options).length === 0 ? {} : { DriverOpts: options }),
  };
}

/**
 * The networks after `--network-add` and `--network-rm`.
 * @throws UsageError when `--network-rm` names a network that the service does not have
 */
export function updatedNetworks(
  args: Arguments,
  old: readonly NetworkAttachmentConfig[],
): NetworkAttachmentConfig[] {
  const gone = args.list('network-rm');
  for (const name of gone) {
    if (old.some(({ Target }) => Target === name)) continue;
    const has = old.length === 0 ? 'none' : old.map(({ Target }) => Target).join(', ');
    throw new UsageError(`--network-rm: the service is not attached to ${name}; it has: ${has}`);
  }
  const added = args.list('network-add').map(parseNetwork);
  const replaced = [...gone, ...added.map(({ Target }) => Target)];
  return [...old.filter(({ Target }) => !replaced.includes(Target)), ...added];
}
