import { ApiError } from '../errors.js';
import type { Mount } from '../objects/service.js';

const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];

function refuse(message: string): never {
  throw new ApiError('INVALID_ARGUMENT', `ContainerSpec: ${message}`);
}

/**
 * Rules of a container's mounts (Linux).
 * @throws ApiError INVALID_ARGUMENT, UNIMPLEMENTED
 */
export function checkMounts(mounts: readonly Mount[] | undefined): void {
  const targets = new Map<string, Mount>();
  for (const mount of mounts ?? []) {
    if (mount.Type === 'npipe' || mount.Type === 'cluster') {
      throw new ApiError(
        'UNIMPLEMENTED',
        `ContainerSpec: mounts of type ${mount.Type} are not served; use bind, volume or tmpfs`,
      );
    }
    if (mount.Target === '') refuse('a mount needs a Target');
    // The worker expands a template ({{.Task.Slot}}) and checks the result.
    if (!mount.Target.startsWith('/') && !mount.Target.includes('{{')) {
      refuse(`mount target "${mount.Target}" must be an absolute path`);
    }
    const target = mount.Target.replace(/\/+$/, '') || '/';
    if (target === '/') refuse('a mount cannot replace the root "/"');
    const other = targets.get(target);
    if (other !== undefined) {
      refuse(`duplicate mount point: ${mount.Target}, of ${shown(other)} and of ${shown(mount)}`);
    }
    targets.set(target, mount);
    checkSource(mount);
    checkOptions(mount);
  }
}

function shown({ Type, Source = '' }: Mount): string {
  return Source === '' ? `a ${Type}` : `the ${Type} ${Source}`;
}

function checkSource(mount: Mount): void {
  const source = mount.Source ?? '';
  if (mount.Type === 'bind') {
    if (source === '') refuse(`the bind mount at ${mount.Target} needs a Source`);
    if (!source.startsWith('/') && !source.includes('{{')) {
      refuse(`invalid bind mount source, must be an absolute path: ${source}`);
    }
  }
  if (mount.Type === 'volume' && source.startsWith('/')) {
    refuse(`invalid volume mount source, must not be an absolute path: ${source}`);
  }
  if (mount.Type === 'tmpfs' && source !== '') {
    refuse('invalid tmpfs source, source must be empty');
  }
}

function checkOptions(mount: Mount): void {
  const given = {
    bind: mount.BindOptions,
    volume: mount.VolumeOptions,
    tmpfs: mount.TmpfsOptions,
  };
  for (const [type, options] of Object.entries(given)) {
    if (options !== undefined && type !== mount.Type && Object.keys(options).length > 0) {
      refuse(`the ${mount.Type} mount at ${mount.Target} cannot have options of type ${type}`);
    }
  }
  const propagation = mount.BindOptions?.Propagation ?? '';
  if (propagation !== '' && !PROPAGATIONS.includes(propagation)) {
    refuse(`invalid propagation "${propagation}"; use one of ${PROPAGATIONS.join(', ')}`);
  }
}
