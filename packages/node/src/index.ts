// A command loads this file to use one function of a node, so each function loads what it needs itself.
import type { CheckedBackup } from '@swarm/manager/recovery';
import type { DaemonFlags } from './daemon/options.js';
import type { BackgroundStart, StartedDaemon } from './daemon/start-in-background.js';
import type { MemberInspection } from './inspect-member.js';

export { DAEMON_NODE_FLAGS } from './daemon/node-flags.js';
export type { DaemonFlags } from './daemon/options.js';
export type { BackgroundStart, StartedDaemon } from './daemon/start-in-background.js';
export type { InspectedEntry, MemberInspection } from './inspect-member.js';

/** Runs a node until SIGINT or SIGTERM and returns the exit code. @throws UsageError for a wrong flag */
export async function runDaemon(
  flags: DaemonFlags,
  env: NodeJS.ProcessEnv,
  uid: number,
): Promise<number> {
  const { daemonOptions } = await import('./daemon/options.js');
  const options = daemonOptions(flags, env, uid);
  const { runNode } = await import('./daemon/run.js');
  return runNode(options);
}

/** Starts a daemon that outlives this process. @throws UsageError */
export async function startInBackground(start: BackgroundStart): Promise<StartedDaemon> {
  const background = await import('./daemon/start-in-background.js');
  return background.startInBackground(start);
}

/** Reads the Raft member of a data root whose daemon does not run. @throws UsageError */
export async function inspectMember(dataRoot: string): Promise<MemberInspection> {
  const member = await import('./inspect-member.js');
  return member.inspectMember(dataRoot);
}

/** Reads and checks a whole backup. @throws ApiError that says what is wrong with it */
export async function checkBackup(path: string): Promise<CheckedBackup> {
  const recovery = await import('@swarm/manager/recovery');
  return recovery.checkBackup(recovery.backupFile(path));
}

/** TLS options for connecting to a manager of the cluster with this root certificate. */
export async function managerTls(identity: {
  readonly rootCertificate: string;
  readonly certificate: string;
  readonly key: string;
}) {
  const { tlsClientOptions } = await import('@swarm/identity');
  return tlsClientOptions(identity);
}
