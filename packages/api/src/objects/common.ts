/** RFC 3339 with up to nanoseconds, UTC: `2026-11-23T17:06:33.626290978Z`. */
export type Timestamp = string;
/** Nanoseconds, as Go's time.Duration in JSON. Exact up to 104 days. */
export type Nanoseconds = number;
export type Labels = Record<string, string>;

/** Optimistic lock: the index of the log entry that last wrote the object. */
export interface ObjectVersion {
  readonly Index: number;
}

/** What every stored object carries. Set by the store, never by its users. */
export interface Meta {
  readonly ID: string;
  readonly Version: ObjectVersion;
  readonly CreatedAt: Timestamp;
  readonly UpdatedAt: Timestamp;
}

/** Of objects that both clients and the cluster write. */
export interface ClientVersioned {
  /**
   * The version that clients read and are held to: that of the last write of the spec by one of them. Absent
   * when nobody has written the object since: then it is `Version`.
   */
  readonly ClientVersion?: ObjectVersion;
}

/** What request made an object, so that a repetition of it finds the object. Clients never see it. */
export interface Creation {
  /** The `Idempotency-Key` of the request. */
  readonly Key: string;
  /** SHA-256 of the request's body, base64url. */
  readonly Digest: string;
}

/** Of objects that clients create. */
export interface Created {
  readonly Creation?: Creation;
}

/** What the API shows as the object's Version, and compares with the one that a client sends. */
export function clientVersion(object: Pick<Meta, 'Version'> & ClientVersioned): ObjectVersion {
  return object.ClientVersion ?? object.Version;
}

export const MS = 1_000_000;
export const SECOND = 1000 * MS;

/** An object with exactly one of the fields of `T`. */
export type ExactlyOne<T> = {
  readonly [K in keyof T]: { readonly [P in K]: T[P] } & {
    readonly [P in Exclude<keyof T, K>]?: never;
  };
}[keyof T];
