import { type ClientVersioned, clientVersion, type Meta } from '@swarm/api';

/** An object as clients see its version: that of the last write by one of them. */
export function presentVersion<T extends Pick<Meta, 'Version'> & ClientVersioned>(
  object: T,
): Omit<T, 'ClientVersion'> {
  const { ClientVersion: _, ...shown } = object;
  return { ...shown, Version: clientVersion(object) };
}
