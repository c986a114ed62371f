import { RuntimeError } from '../runtime-error.js';

/** `ContainerSpec.Privileges` of Docker's API, Linux part. */
interface Privileges {
  readonly CredentialSpec?: object | null;
  readonly SELinuxContext?: {
    readonly Disable?: boolean;
    readonly User?: string;
    readonly Role?: string;
    readonly Type?: string;
    readonly Level?: string;
  } | null;
  readonly Seccomp?: { readonly Mode?: string; readonly Profile?: string } | null;
  readonly AppArmor?: { readonly Mode?: string } | null;
  readonly NoNewPrivileges?: boolean;
}

/**
 * `HostConfig.SecurityOpt` for a service's privileges.
 * @throws RuntimeError `rejected`; names the field
 */
export function securityOptions(given: object | undefined): string[] {
  const privileges = (given ?? {}) as Privileges;
  const options: string[] = [];
  if (privileges.CredentialSpec) {
    throw rejected('CredentialSpec', 'is for Windows; remove it');
  }
  const selinux = privileges.SELinuxContext;
  if (selinux?.Disable === true) options.push('label=disable');
  for (const part of ['User', 'Role', 'Type', 'Level'] as const) {
    if (selinux?.[part]) options.push(`label=${part.toLowerCase()}:${selinux[part]}`);
  }
  const seccomp = privileges.Seccomp?.Mode ?? '';
  if (seccomp === 'unconfined') options.push('seccomp=unconfined');
  else if (seccomp === 'custom') options.push(`seccomp=${profile(privileges.Seccomp?.Profile)}`);
  else if (seccomp !== '' && seccomp !== 'default') {
    throw rejected('Seccomp.Mode', `is "${seccomp}"; use default, unconfined or custom`);
  }
  const appArmor = privileges.AppArmor?.Mode ?? '';
  if (appArmor === 'disabled') options.push('apparmor=unconfined');
  else if (appArmor !== '' && appArmor !== 'default') {
    throw rejected('AppArmor.Mode', `is "${appArmor}"; use default or disabled`);
  }
  if (privileges.NoNewPrivileges === true) options.push('no-new-privileges');
  return options;
}

/** Base64 of the profile's JSON, which is how Go's API encodes bytes. */
function profile(base64: string | undefined): string {
  const text = Buffer.from(base64 ?? '', 'base64').toString('utf8');
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    throw rejected('Seccomp.Profile', 'is not JSON in base64; Mode custom needs a profile');
  }
}

function rejected(field: string, what: string): RuntimeError {
  return new RuntimeError('rejected', `ContainerSpec.Privileges.${field} ${what}.`);
}
