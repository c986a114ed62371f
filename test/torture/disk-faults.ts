import { type LogReport, readLog } from '@swarm/raft';
import { damageFile, type DamageKind } from './damage.js';
import { logFolder } from './group.js';
import type { MemberHost } from './host.js';
import { replace } from './membership-faults.js';
import { anyHost, type Fault, leaderOrAny, type Scene } from './scene.js';

/**
 * Kills a member and damages one file of its log. The offline reader, which changes nothing, reads
 * the log before and after. A member that lost anything must refuse to start; a member that lost
 * nothing must start. A host whose member refuses joins again.
 */
async function damage(scene: Scene, kind: DamageKind): Promise<void> {
  const { group, prng, counts, problems } = scene;
  const host = prng.below(2) === 0 ? await leaderOrAny(scene) : anyHost(scene);
  await group.kill(host);
  const before = await readLog(logFolder(host));
  if (before.problems.length > 0) {
    throw new Error(
      `a mere crash damaged the log of ${host.nodeId}: ${before.problems.join('; ')}`,
    );
  }
  const what = await damageFile(logFolder(host), kind, prng);
  const after = await readLog(logFolder(host));
  const lost = whatIsLost(before, after);
  if (after.problems.length > 0) {
    await mustRefuse(scene, host, `${what}: ${after.problems[0]}`);
    counts.damage('refused, and replaced');
    await replace(scene, host);
    return;
  }
  if (lost === undefined) {
    const started = await group.start(host);
    if ('refused' in started) {
      problems.add(`${host.nodeId} refuses a log that has everything (${what}): ${started.why}`);
      await replace(scene, host);
    } else counts.damage('opened with everything');
    return;
  }
  // The end of the write-ahead file looks as a crash leaves it: see the README of the package on
  // undetected losses. The operator who cut it knows, and does not start it.
  if (kind === 'truncate' && what.includes('.log ')) {
    counts.damage('cut off where no start can see it, and replaced');
  } else problems.add(`nothing detects what ${host.nodeId} lost (${what}): ${lost}`);
  await replace(scene, host);
}

async function mustRefuse(scene: Scene, host: MemberHost, what: string): Promise<void> {
  const started = await scene.group.start(host);
  if ('refused' in started && started.refused === 'RAFT_STORAGE_CORRUPT') return;
  const instead = 'refused' in started ? `says ${started.refused} ${started.why}` : 'starts';
  scene.problems.add(`${host.nodeId} ${instead}, although its log is damaged (${what})`);
}

/**
 * Finds what is lost of a member's possible promises: term, vote and entries. The commit does not
 * count: it is written unsynced.
 */
function whatIsLost(before: LogReport, after: LogReport): string | undefined {
  const { term, vote } = before.hardState;
  if (after.hardState.term !== term || after.hardState.vote !== vote) {
    return `the vote of term ${term}; there is that of ${after.hardState.term}`;
  }
  const has = new Map(after.entries.map((entry) => [entry.index, entry]));
  for (const { index, term: written, data } of before.entries) {
    if (index <= after.snapshot.index) continue;
    const entry = has.get(index);
    if (entry?.term === written && Buffer.compare(entry.data, data) === 0) continue;
    return `entry ${index} of term ${written}, and perhaps later ones up to ${lastIndex(before)}`;
  }
  return undefined;
}

function lastIndex({ entries, snapshot }: LogReport): number {
  return entries.at(-1)?.index ?? snapshot.index;
}

export const DISK_FAULTS: readonly Fault[] = [
  { kind: 'delete a file', weight: 2, run: (scene) => damage(scene, 'delete') },
  { kind: 'cut a file short', weight: 2, run: (scene) => damage(scene, 'truncate') },
  { kind: 'flip a bit', weight: 4, run: (scene) => damage(scene, 'flip') },
  {
    kind: 'lose a folder',
    weight: 1,
    async run(scene) {
      const host = anyHost(scene);
      await scene.group.kill(host);
      await host.wipe();
      await replace(scene, host);
    },
  },
];
