import type { Profile } from './plan.js';

/**
 * A one-line fault that somebody, somewhere, has really made. bug-lab.ts plants it in a copy of the
 * compiled program; the product has no switch for it.
 */
export interface Bug {
  readonly name: string;
  /** Number in the checklist of known bugs, docs/raft-checklist.md. */
  readonly item: number;
  /**
   * A piece of the compiled core, host, storage or transport that occurs exactly once, and its
   * replacement; a space matches any white space.
   */
  readonly find: string;
  readonly replace: string;
  /** The profile that shows it soonest. */
  readonly profile: Profile;
}

/** The first seeds of a bug's profile, this many, find every bug of the bank. */
export const SEEDS_TO_FIND_A_BUG = 60;

export const BUGS: readonly Bug[] = [
  {
    name: 'a vote leaves before it is on disk',
    item: 1,
    find: 'switch (message.type) { case MessageType.PreVoteResponse: case MessageType.VoteResponse: this.promises.push(message);',
    replace:
      'switch (message.type) { case MessageType.PreVoteResponse: case MessageType.VoteResponse: ' +
      'if (message.type === MessageType.VoteResponse && message.to !== this.id) this.messages.push(message);' +
      'else this.promises.push(message);',
    profile: 'mixed',
  },
  {
    name: 'a candidate counts its own vote before it is on disk',
    item: 2,
    find: 'voteForOurselves(raft, id); else',
    replace: 'countVote(raft, id, true); else',
    profile: 'mixed',
  },
  {
    name: 'stepping down within a term clears the vote',
    item: 4,
    find: 'if (term !== this.term) {',
    replace: '{',
    profile: 'mixed',
  },
  {
    name: 'logs are compared by length only',
    item: 9,
    find: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);',
    replace: 'return lastIndex >= this.lastIndex;',
    profile: 'tails',
  },
  {
    name: 'entries of earlier terms are committed by counting',
    item: 10,
    find: 'if (quorum <= before || !this.log.matches(quorum, this.term))',
    replace: 'if (quorum <= before)',
    profile: 'lite',
  },
  {
    name: 'a follower commits up to its last entry',
    item: 15,
    find: 'log.commitTo(Math.min(commit, last));',
    replace: 'log.commitTo(Math.min(commit, log.lastIndex));',
    profile: 'network',
  },
  {
    name: 'a heartbeat carries the whole commit',
    item: 15,
    find: 'const commit = Math.min(match, raft.log.commit);',
    replace: 'const commit = raft.log.commit;',
    profile: 'mixed',
  },
  {
    name: 'a late append that matches cuts the log',
    item: 16,
    find: 'const fresh = entries.findIndex((entry) => !this.matches(entry.index, entry.term));',
    replace: 'const fresh = entries.length > 0 ? 0 : -1;',
    profile: 'tails',
  },
  {
    name: 'compacted entries match as term 0',
    item: 19,
    find: 'return this.entries[index - this.base.index - 1]?.term;',
    replace: 'return this.entries[index - this.base.index - 1]?.term ?? 0;',
    profile: 'snapshots',
  },
  {
    name: 'the window of messages in flight leaks',
    item: 20,
    find: 'this.inflights.reset();',
    replace: '',
    profile: 'network',
  },
  {
    name: 'a finished write vouches for entries that replaced it',
    item: 23,
    find: 'attested !== undefined && work.term === raft.term && raft.log.matches(attested.index, attested.term)',
    replace: 'attested !== undefined',
    profile: 'pipeline',
  },
  {
    name: 'uncommitted bytes leak',
    item: 24,
    find: 'this.uncommittedBytes -= this.log.entry(i).data.length;',
    replace: '',
    profile: 'mixed',
  },
  {
    name: 'committed entries count as handed out',
    item: 25,
    find: 'this.applying += entries.length;',
    replace: 'this.applying = upTo;',
    profile: 'mixed',
  },
  {
    name: 'half of an even number is a majority',
    item: 27,
    find: 'return Math.floor(count / 2) + 1;',
    replace: 'return Math.ceil(count / 2);',
    profile: 'mixed',
  },
  {
    name: 'a joint quorum needs the incoming half only',
    item: 27,
    find: 'return Math.min(majorityReached(conf.voters, reached), majorityReached(conf.votersOutgoing, reached));',
    replace: 'return majorityReached(conf.voters, reached);',
    profile: 'joint',
  },
  {
    name: 'a snapshot keeps a conflicting tail',
    item: 28,
    find: 'this.entries = []; this.base = { index: snapshot.index, term: snapshot.term };',
    replace:
      'this.entries = this.entries.filter((entry) => entry.index > snapshot.index);' +
      'this.base = { index: snapshot.index, term: snapshot.term };',
    profile: 'tails',
  },
  {
    name: 'a snapshot older than the commit is taken',
    item: 30,
    find: 'if (meta.index > log.commit) {',
    replace: 'if (meta.index < log.commit) log.restore(meta); else {',
    profile: 'snapshots',
  },
  {
    name: 'a snapshot is acknowledged before the log knows of it',
    item: 31,
    find: 'const mustSync = entries.length > 0 || snapshot !== undefined || this.ballotChanged;',
    replace: 'const mustSync = entries.length > 0 || this.ballotChanged;',
    profile: 'snapshots',
  },
  {
    name: 'a snapshot carries the current configuration',
    item: 34,
    find: 'const state = this.history.findLast((past) => past.index <= index);',
    replace: 'const state = this.history.at(-1);',
    profile: 'joint',
  },
  {
    name: 'a failed snapshot is not reported',
    item: 36,
    find: 'progress.snapshotFailed();',
    replace: 'return;',
    profile: 'snapshots',
  },
  {
    name: 'the start of a compacted log is not written',
    item: 39,
    find: 'this.start = meta;',
    replace: '',
    profile: 'snapshots',
  },
  {
    name: 'a new leader changes the membership at once',
    item: 40,
    find: 'this.pendingConfIndex = this.log.lastIndex;',
    replace: 'this.pendingConfIndex = 0;',
    profile: 'membership',
  },
  {
    name: 'only the leader that entered a joint configuration leaves it',
    item: 41,
    find: 'if (conf.autoLeave && raft.log.applied >= raft.pendingConfIndex) {',
    replace:
      'if (conf.autoLeave && raft.log.applied === raft.pendingConfIndex && raft.log.term(raft.log.applied) === raft.term) {',
    profile: 'joint',
  },
  {
    name: 'a removed leader keeps leading',
    item: 42,
    find: 'if (!isVoter(conf, raft.id)) {',
    replace: 'if (false) {',
    profile: 'joint',
  },
  {
    name: 'a smaller quorum does not commit what it has',
    item: 42,
    find: '// A smaller quorum may already hold what the larger one did not. commitAdvanced(raft);',
    replace: '',
    profile: 'joint',
  },
  {
    name: 'a member campaigns before it has applied a membership change',
    item: 45,
    find: 'if (raft.hasUnappliedConfChange) {',
    replace: 'if (false) {',
    profile: 'joint',
  },
  {
    name: 'a new leader serves reads before it has committed',
    item: 51,
    find: 'return this.log.matches(this.log.commit, this.term);',
    replace: 'return true;',
    profile: 'reads',
  },
  {
    name: 'an answer to an older round proves a newer one',
    item: 52,
    find: 'if (round <= this.round && round > (this.acked.get(id) ?? 0)) this.acked.set(id, round);',
    replace: 'this.acked.set(id, this.round);',
    profile: 'reads',
  },
  {
    name: 'a leader serves reads without asking a quorum',
    item: 55,
    find: 'const proven = quorumReached(conf, (id) => id === self ? this.round : (this.acked.get(id) ?? 0));',
    replace: 'const proven = this.round;',
    profile: 'reads',
  },
  {
    name: 'a lease counts from when the answer comes',
    item: 54,
    find: 'raft.lease?.answered(message.from, message.round, message.promiseMs);',
    replace:
      'const { lease } = raft; if (lease !== undefined) lease.leaves = (nowMs) => { delete lease.leaves;' +
      'lease.boundUntil.set(message.from, nowMs + message.promiseMs * lease.share); lease.leaves(nowMs); };',
    profile: 'leases',
  },
  {
    name: 'a lease outlives the order to campaign',
    item: 54,
    find: 'raft.lease?.renounce();',
    replace: '',
    profile: 'leases',
  },
  {
    name: 'a lease makes no allowance for drift',
    item: 54,
    find: 'this.share = (PPM - driftPpm) / (PPM + driftPpm);',
    replace: 'this.share = 1;',
    profile: 'leases',
  },
  {
    name: 'a voter that restarts has forgotten its promise',
    item: 54,
    find: 'if (initial.mayHavePromised === true)',
    replace: 'if (false)',
    profile: 'leases',
  },
  {
    name: 'a write is acknowledged before it is synced',
    item: 59,
    find: 'await this.put({ sequence, value, ...(meta && { meta }) }, write.mustSync);',
    replace:
      'void this.put({ sequence, value, ...(meta && { meta }) }, write.mustSync).catch(() => {});',
    profile: 'storage',
  },
  {
    name: 'entries that the state already has are applied again',
    item: 60,
    find: 'const fresh = entries.filter(({ index }) => index > this.reached);',
    replace: 'const fresh = entries;',
    profile: 'mixed',
  },
  {
    name: 'a damaged log opens as a new one',
    item: 63,
    find: "throw corrupt('memory', error.message, error);",
    replace: 'recovery = new Recovery(EMPTY_META);',
    profile: 'quorum-loss',
  },
  {
    name: 'a proposal of unknown fate is reported as dropped',
    item: 68,
    find: 'done(new ProposalUnknownError(), undefined, index);',
    replace: "done(new ProposalDroppedError(''), undefined, index);",
    profile: 'network',
  },
  {
    name: 'a slow answer to a read does not count',
    item: 52,
    find: 'contexts.includes(context)',
    replace: 'contexts.at(-1) === context',
    profile: 'reads',
  },
  {
    name: 'the name of a new write-ahead file is not synced',
    item: 64,
    find: 'if (sync) await opened.folder.settle();',
    replace: '',
    profile: 'level',
  },
  {
    name: 'the name of the folder of a new log is not synced',
    item: 64,
    find: 'await syncFolder(files, above);',
    replace: '',
    profile: 'level',
  },
  {
    name: 'the identity file takes its name before it is synced',
    item: 64,
    find: 'await file.sync();',
    replace: '',
    profile: 'level',
  },
  {
    name: 'the bound of what is durable is raised before it is durable',
    item: 59,
    find: 'await opened.database.write([[key, value]], { sync });',
    replace:
      'opened.keeper.advance(sequence); await opened.database.write([[key, value]], { sync });',
    profile: 'level',
  },
  {
    name: 'a database whose creation was interrupted counts as damaged',
    item: 66,
    find: 'if (!isNew || !isLost(error))',
    replace: '',
    profile: 'level',
  },
  {
    name: 'waiting pieces are lost when a snapshot is interrupted',
    item: 37,
    find: 'this.carrier = undefined; return true;',
    replace: 'this.carrier = undefined; this.pieces = []; return true;',
    profile: 'snapshots',
  },
  {
    name: 'an interrupted snapshot resumes at its beginning',
    item: 37,
    find: 'this.carrier?.replaced();',
    replace:
      'this.carrier?.replaced(); if (connection > 1) this.position = new SnapshotPosition();',
    profile: 'snapshots',
  },
];
