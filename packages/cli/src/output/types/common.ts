import type { ClientVersioned, Created, Meta, ObjectVersion, TLSInfo } from '@swarm/api';
import { BYTES, INT, STRING, STRING_MAP, struct, TIME } from '../../template/types.js';

export const VERSION = struct<ObjectVersion>('Version', { Index: INT }, { text: 'Index' });

/** Fields that `META` has, or that the API does not show. */
export type Common = keyof (Meta & ClientVersioned & Created);

export const META = struct<Omit<Meta, 'ID'>>('Meta', {
  Version: VERSION,
  CreatedAt: TIME,
  UpdatedAt: TIME,
});

export const ANNOTATIONS = struct('Annotations', { Name: STRING, Labels: STRING_MAP });

export const TLS_INFO = struct<TLSInfo>('TLSInfo', {
  TrustRoot: STRING,
  CertIssuerSubject: BYTES,
  CertIssuerPublicKey: BYTES,
});
