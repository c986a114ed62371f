import { checkContainerSpec, isHostImage, type Task } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import { refused } from '../spec-refusal.js';
import { attachmentProblem } from '../task-ports.js';
import { compareVersions } from './engine-client.js';

/**
 * Refuses what this runtime or this engine cannot do and names the field: a field either works or is
 * refused. The engine itself checks paths of binds and sizes of limits at the create.
 * @param version of the Engine API in use
 * @throws RuntimeError `rejected`
 */
export function checkDockerSpec(task: Task, version: string): void {
  const container = task.Spec.ContainerSpec;
  if (container === undefined) {
    throw rejected(
      `Runtime "${task.Spec.Runtime ?? ''}" is unknown to this node; use a ContainerSpec.`,
    );
  }
  if (isHostImage(container.Image)) {
    throw rejected(
      'The image "host" stands for the host itself, but this node runs containers: name an image, or start the daemon with --runtime process.',
    );
  }
  const isolation = container.Isolation ?? '';
  const unsupported: Record<string, boolean> = {
    'ContainerSpec.Secrets': hasItems(container.Secrets),
    'ContainerSpec.Configs': hasItems(container.Configs),
    'ContainerSpec.Isolation': isolation !== '' && isolation !== 'default',
  };
  for (const [field, used] of Object.entries(unsupported)) {
    if (used) throw rejected(`${field} is not supported on this node: remove it.`);
  }
  for (const mount of container.Mounts ?? []) {
    if (mount.Type === 'npipe' || mount.Type === 'cluster') {
      throw rejected(
        `ContainerSpec.Mounts has the type "${mount.Type}" at ${mount.Target}; use bind, volume or tmpfs.`,
      );
    }
  }
  const needs: readonly (readonly [field: string, used: boolean, version: string])[] = [
    ['Healthcheck.StartInterval', (container.Healthcheck?.StartInterval ?? 0) > 0, '1.44'],
    [
      'Mounts.BindOptions.CreateMountpoint',
      container.Mounts?.some((mount) => mount.BindOptions?.CreateMountpoint === true) === true,
      '1.42',
    ],
    [
      'Mounts.VolumeOptions.Subpath',
      container.Mounts?.some((mount) => (mount.VolumeOptions?.Subpath ?? '') !== '') === true,
      '1.45',
    ],
  ];
  for (const [field, used, least] of needs) {
    if (used && compareVersions(version, least) < 0) {
      throw rejected(
        `ContainerSpec.${field} needs Engine API ${least} but the engine of this node speaks ${version}: remove it, or update the engine.`,
      );
    }
  }
  refused(() => checkContainerSpec(container));
  const problem = attachmentProblem(task);
  if (problem !== undefined) throw rejected(problem);
}

function hasItems(list: readonly unknown[] | undefined): boolean {
  return (list?.length ?? 0) > 0;
}

function rejected(message: string): RuntimeError {
  return new RuntimeError('rejected', message);
}
