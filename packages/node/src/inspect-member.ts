import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, UsageError } from '@swarm/api';
import {
  copyFolder,
  type DumpedEntry,
  describeEntry,
  type Inspection,
  inspectManager,
} from '@swarm/manager/recovery';

/** Log and state of a node's Raft member, as plain data without secrets and keys. */
export interface MemberInspection {
  readonly summary: ReturnType<typeof summaryOf>;
  /** Everything that is wrong; empty when nothing is. */
  readonly problems: readonly string[];
  entries(): Iterable<InspectedEntry>;
}

export interface InspectedEntry {
  readonly index: number;
  readonly data: DumpedEntry;
  /** One line for a person. */
  readonly line: string;
}

/**
 * Reads the Raft member of a data root whose daemon does not run. Changes nothing.
 * @throws UsageError when there is no member, or its daemon runs
 */
export async function inspectMember(dataRoot: string): Promise<MemberInspection> {
  const folder = join(dataRoot, 'raft');
  if (!existsSync(folder))
    throw new UsageError(`${dataRoot} holds no manager's log: give a data folder with --data-root`);
  const inspection = await inspect(folder);
  return {
    summary: summaryOf(inspection),
    problems: inspection.problems,
    *entries() {
      for (const data of inspection.entries())
        yield { index: data.index, data, line: describeEntry(data) };
    },
  };
}

async function inspect(folder: string): Promise<Inspection> {
  try {
    return await inspectManager(folder, { clock: systemClock(), copyFolder });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'RAFT_STORAGE_LOCKED') throw error;
    throw new UsageError(
      `${(error as Error).message} 'swarm raft status' without --data-root asks the daemon.`,
    );
  }
}

function summaryOf({ log, appliedIndex, objects, problems }: Inspection) {
  const { identity, hardState, snapshot, entries } = log;
  return {
    clusterId: identity?.clusterId,
    memberId: identity?.memberId,
    ...hardState,
    applied: appliedIndex,
    firstIndex: snapshot.index + 1,
    lastIndex: snapshot.index + entries.length,
    snapshot,
    records: { first: log.firstSequence, last: log.lastSequence, count: log.records },
    opened: log.incarnation,
    torn: log.torn,
    objects,
    problems,
  };
}
