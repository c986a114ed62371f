import type { Kind } from '../store/store.js';

const HIDDEN = '<redacted>';
/** Fields that hold keys, tokens or passwords, wherever they occur. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'CAKey',
  'SigningCAKey',
  'UnlockKey',
  'RegistryAuth',
  'Password',
  'IdentityToken',
]);

/**
 * Returns an object that anybody may see: replaces the data of secrets, the cluster's keys, join tokens and
 * registry credentials. Keeps environments and configs, which `inspect` shows too.
 */
export function redact(kind: Kind, object: unknown): unknown {
  return hide(object, kind === 'secret' ? 'Data' : undefined, false);
}

function hide(value: unknown, also: string | undefined, all: boolean): unknown {
  // Values that an older version may have stored and that JSON cannot express.
  if (typeof value === 'bigint') return all ? HIDDEN : String(value);
  if (value instanceof Date) return all ? HIDDEN : String(value.getTime());
  if (typeof value !== 'object' || value === null) return all ? HIDDEN : value;
  if (value instanceof Uint8Array) return all ? HIDDEN : `<${value.length} bytes>`;
  if (Array.isArray(value)) return value.map((each) => hide(each, also, all));
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const secret = all || SECRET_FIELDS.has(name) || name === also || name === 'JoinTokens';
      return [name, hide(part, also, secret)];
    }),
  );
}
