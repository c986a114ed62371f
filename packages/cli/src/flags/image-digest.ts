import { isHostImage, type Placement, type ServiceSpec } from '@swarm/api/client';
import { type ApiClient, DaemonError } from '../client/api-client.js';
import type { CommandContext } from '../command.js';

interface Distribution {
  readonly Descriptor?: { readonly digest?: string };
  readonly Platforms?: { readonly architecture?: string; readonly os?: string }[] | null;
}

/** A spec as it should be sent, and what the user should know about it. */
export interface Pinned {
  readonly spec: ServiceSpec;
  readonly warning?: string;
}

/**
 * Pins the spec's image to the digest that the registry currently has, and to its platforms, so that every
 * node runs the same. Leaves the image as it is if no registry can be asked.
 * @returns the spec, and a warning for the user
 */
export async function pinImage(
  client: ApiClient,
  spec: ServiceSpec,
  headers: Record<string, string>,
): Promise<Pinned> {
  const task = spec.TaskTemplate;
  const container = task.ContainerSpec;
  const image = container?.Image ?? '';
  if (container === undefined || isHostImage(image) || image.includes('@')) return { spec };
  let found: Distribution;
  try {
    found = await client.call('GET', `/distribution/${image}/json`, {}, undefined, headers);
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    return {
      spec,
      warning: `image ${image} could not be accessed on a registry to record its digest: each node uses its own ${image}, which may differ from node to node`,
    };
  }
  const digest = found.Descriptor?.digest;
  if (digest === undefined) return { spec };
  const platforms = (found.Platforms ?? [])
    .filter(({ os }) => os !== 'unknown')
    // Registries name ARM variants in ways that nodes do not (docker/cli does the same).
    .map(({ architecture = '', os = '' }) => ({
      Architecture: architecture.startsWith('arm') ? '' : architecture,
      OS: os,
    }));
  const placement: Placement = {
    ...task.Placement,
    ...(platforms.length === 0 ? {} : { Platforms: platforms }),
  };
  return {
    spec: {
      ...spec,
      TaskTemplate: {
        ...task,
        ContainerSpec: { ...container, Image: `${image}@${digest}` },
        ...(Object.keys(placement).length === 0 ? {} : { Placement: placement }),
      },
    },
  };
}

/** {@link pinImage}, unless the user does not want it. The warning is for when the daemon took the spec. */
export async function pinned(
  { args, client }: CommandContext,
  spec: ServiceSpec,
  headers: Record<string, string>,
): Promise<Pinned> {
  return args.boolean('no-resolve-image') ? { spec } : pinImage(client, spec, headers);
}
