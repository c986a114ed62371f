import type { ConnectionOptions } from 'node:tls';

/**
 * What `swarm` needs of the node on this host besides its API: to run it, to start it, and to read its files
 * while it is not running. Passed in by the program's entry point, so that a command that only talks to a
 * daemon loads nothing of a node.
 */
export interface LocalNode {
  /** Runs a node until it is stopped; returns the exit code. @throws UsageError for an invalid flag */
  runDaemon(flags: DaemonFlags, env: NodeJS.ProcessEnv, uid: number): Promise<number>;
  /** Starts a daemon that outlives this process. */
  startInBackground(start: DaemonStart): Promise<DaemonProcess>;
  /** Reads the Raft member of a data root whose daemon is not running. */
  inspectMember(dataRoot: string): Promise<MemberInspection>;
  /** Reads a whole backup. @throws Error saying what is wrong with it */
  checkBackup(path: string): Promise<BackupSummary>;
  /** How to connect to a manager of the cluster with this root certificate. All are PEM. */
  managerTls(files: ManagerTlsFiles): Promise<ConnectionOptions>;
}

/** Flags of `swarm daemon` by name, as given; a flag that may be repeated is a list. */
export type DaemonFlags = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface DaemonStart {
  /** The script that runs `swarm`. */
  readonly script: string;
  readonly socketPath: string;
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
}

export interface DaemonProcess {
  readonly logPath: string;
  /** Why it ended; undefined while it runs. */
  ended(): string | undefined;
}

export interface BackupSummary {
  readonly header: { readonly clusterId: string; readonly index: number };
  readonly objects: number;
}

export interface ManagerTlsFiles {
  readonly rootCertificate: string;
  readonly certificate: string;
  readonly key: string;
}

/** Log and state of a Raft member, as plain data without secrets and keys. */
export interface MemberInspection {
  readonly summary: MemberSummary;
  /** Everything that is wrong; empty if all is well. */
  readonly problems: readonly string[];
  entries(): Iterable<LoggedEntry>;
}

export interface MemberSummary {
  readonly clusterId: string | undefined;
  readonly memberId: number | undefined;
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
  readonly applied: number | undefined;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly snapshot: {
    readonly index: number;
    readonly members: readonly { readonly id: number; readonly address: string }[];
  };
  readonly records: { readonly first: number; readonly last: number; readonly count: number };
  readonly opened: number;
  readonly objects: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

export interface LoggedEntry {
  readonly index: number;
  /** The entry for a program, one JSON object. */
  readonly data: object;
  /** The entry for a person, in columns: index, term, kind, bytes, what. */
  readonly line: string;
}
