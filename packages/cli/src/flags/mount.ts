import type { Mount } from '@swarm/api';
import { UsageError } from '../command.js';
import { parseBytes, parseFields, splitPair } from './values.js';

type Draft = { -readonly [K in keyof Mount]?: Mount[K] };

/** Parses one `--mount` value: `type=volume|bind|tmpfs,source=,target=,readonly,…`; type volume by default. */
export function parseMount(text: string): Mount {
  const mount: Draft = { Type: 'volume' };
  const volume: { NoCopy?: boolean; Labels?: Record<string, string>; Subpath?: string } = {};
  const driver: { Name?: string; Options?: Record<string, string> } = {};
  const bind: { Propagation?: string; CreateMountpoint?: boolean } = {};
  const tmpfs: { SizeBytes?: number; Mode?: number } = {};
  for (const [key, value] of parseFields('mount', text)) {
    const needed = () => {
      if (value === undefined || value === '') throw bad(text, `field '${key}' has no value`);
      return value;
    };
    const flag = () => {
      if (value === undefined || value === 'true' || value === '1') return true;
      if (value === 'false' || value === '0') return false;
      throw bad(text, `field '${key}' must be true or false`);
    };
    switch (key) {
      case 'type':
        if (!['volume', 'bind', 'tmpfs'].includes(needed()))
          throw bad(text, `type must be volume, bind or tmpfs, not '${value}'`);
        mount.Type = needed() as Mount['Type'];
        break;
      case 'source':
      case 'src':
        mount.Source = needed();
        break;
      case 'target':
      case 'dst':
      case 'destination':
        mount.Target = needed();
        break;
      case 'readonly':
      case 'ro':
        mount.ReadOnly = flag();
        break;
      case 'consistency':
        mount.Consistency = needed();
        break;
      case 'bind-propagation':
        bind.Propagation = needed();
        break;
      case 'bind-create-src':
        bind.CreateMountpoint = flag();
        break;
      case 'volume-nocopy':
        volume.NoCopy = flag();
        break;
      case 'volume-subpath':
        volume.Subpath = needed();
        break;
      case 'volume-label': {
        const [name, content] = splitPair(needed());
        volume.Labels = { ...volume.Labels, [name]: content };
        break;
      }
      case 'volume-driver':
        driver.Name = needed();
        break;
      case 'volume-opt': {
        const [name, content] = splitPair(needed());
        driver.Options = { ...driver.Options, [name]: content };
        break;
      }
      case 'tmpfs-size':
        tmpfs.SizeBytes = parseBytes('mount', needed());
        break;
      case 'tmpfs-mode':
        if (!/^[0-7]{3,4}$/.test(needed()))
          throw bad(text, `tmpfs-mode must be an octal mode, not '${value}'`);
        tmpfs.Mode = Number.parseInt(needed(), 8);
        break;
      default:
        throw bad(text, `unknown field '${key}'`);
    }
  }
  if (mount.Target === undefined) throw bad(text, "field 'target' is missing");
  if (Object.keys(driver).length > 0) Object.assign(volume, { DriverConfig: driver });
  const only = (type: string, options: object) => {
    if (Object.keys(options).length > 0 && mount.Type !== type)
      throw bad(text, `${type} options on a mount of type ${mount.Type}`);
    return Object.keys(options).length > 0;
  };
  if (only('volume', volume)) mount.VolumeOptions = volume;
  if (only('bind', bind)) mount.BindOptions = bind;
  if (only('tmpfs', tmpfs)) mount.TmpfsOptions = tmpfs;
  return mount as Mount;
}

function bad(text: string, why: string): UsageError {
  return new UsageError(`invalid argument '${text}' for --mount: ${why}`);
}
