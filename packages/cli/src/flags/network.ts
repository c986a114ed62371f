import type { NetworkAttachmentConfig } from '@swarm/api';
import { UsageError } from '../command.js';
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
