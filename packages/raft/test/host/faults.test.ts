import test from 'ava';
import { bytes, TestCluster, memberInfo } from '../support/cluster.js';
import { Prng } from '@swarm/sim';

const SEEDS = 24;
const STEPS = 60;
const FOUNDERS = [1, 2, 3].map(memberInfo);

/**
 * Kills, restarts, partitions, lost messages, hung disks and membership changes at random; then
 * everything heals. What was acknowledged is there, once and in order of acknowledgement; nobody
 * saw two leaders in one term; the members agree; none stopped by itself.
 */
async function run(seed: number): Promise<string | undefined> {
  const random = new Prng(seed, 'faults').fraction;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const cluster = await TestCluster.bootstrap(3, seed, {
    snapshotInterval: 15,
    trailingEntries: 3,
    joinTimeoutMs: 3000,
    changeTimeoutMs: 3000,
  });
  const leaders = new Map<number, number>();
  const acked: { text: string; index: number }[] = [];
  let made = 0;
  let ids = 3;
  let problem: string | undefined;
  const look = () => {
    for (const { id, node } of cluster.hosts.values()) {
      const status = node?.status();
      if (status?.role !== 'leader') continue;
      const known = leaders.get(status.term);
      if (known !== undefined && known !== id) problem = `two leaders in term ${status.term}`;
      leaders.set(status.term, id);
    }
  };
  const ignore = () => undefined;
  // However the faults fall, there is something to lose.
  const first = (await cluster.waitLeader()).node!.propose(bytes(`${seed}.0`));
  acked.push({ text: `${seed}.0`, index: (await cluster.finish(first)).index });
  for (let step = 0; step < STEPS; step++) {
    const up = [...cluster.hosts.values()].filter(({ node }) => node !== undefined);
    const dice = random();
    if (dice < 0.1 && up.length > 0) await cluster.kill(pick(up).id);
    else if (dice < 0.25) {
      const down = [...cluster.hosts.values()].find(({ node }) => node === undefined);
      if (down !== undefined) {
        down.disk.stalled = false;
        await cluster.start(down.id, down.id <= 3 ? { members: FOUNDERS } : {});
      }
    } else if (dice < 0.33) cluster.isolate(pick([...cluster.hosts.keys()]));
    else if (dice < 0.45) cluster.network.heal();
    else if (dice < 0.52) cluster.network.lose = () => random() < 0.2;
    else if (dice < 0.6) cluster.network.lose = () => false;
    else if (dice < 0.64 && up.length > 0) pick(up).disk.stalled = true;
    else if (dice < 0.7) for (const { disk } of up) disk.stalled = false;
    else if (dice < 0.74 && ids < 6) {
      const id = ++ids;
      await cluster.start(id, { seeds: FOUNDERS });
      cluster.leader()?.node?.addMember(memberInfo(id)).catch(ignore);
    } else if (dice < 0.77) {
      cluster
        .leader()
        ?.node?.removeMember(pick([...cluster.hosts.keys()]))
        .catch(ignore);
    } else if (dice < 0.8) cluster.leader()?.node?.transferLeadership().catch(ignore);
    for (const { node } of cluster.hosts.values()) {
      if (node?.status().role !== 'leader') continue;
      for (let i = 0; i < 4; i++) {
        const text = `${seed}.${++made}`;
        node.propose(bytes(text)).then(({ index }) => acked.push({ text, index }), ignore);
      }
    }
    for (let i = 0; i < 4; i++) {
      await cluster.clock.advance(Math.floor(random() * 150));
      look();
    }
  }
  cluster.network.heal();
  cluster.network.lose = () => false;
  for (const host of cluster.hosts.values()) {
    host.disk.stalled = false;
    if (host.fatal !== undefined) return `member ${host.id} stopped: ${String(host.fatal)}`;
    if (host.node === undefined) {
      await cluster.start(host.id, host.id <= 3 ? { members: FOUNDERS } : {});
    }
  }
  // Transfers and changes under way end, one way or the other.
  await cluster.clock.advance(5000);
  const leader = await cluster.waitLeader();
  await cluster.finish(leader.node!.propose(bytes('last')));
  const members = () => leader.node!.status().members.map(({ info }) => cluster.host(info.id));
  const wanted = JSON.stringify(leader.state.items);
  await cluster.clock.until(
    () => members().every(({ state }) => JSON.stringify(state.items) === wanted),
    'all members agree',
  );
  look();
  const { items } = leader.state;
  if (new Set(items).size !== items.length) return 'something was applied twice';
  let at = -1;
  for (const { text } of acked.sort((a, b) => a.index - b.index)) {
    const found = items.indexOf(text);
    if (found < 0) return `acknowledged and lost: ${text}`;
    if (found <= at) return `out of order: ${text}`;
    at = found;
  }
  for (const { id, fatal, state } of cluster.hosts.values()) {
    if (fatal !== undefined) return `member ${id} stopped: ${String(fatal)}`;
    if (state.items.some((item, i) => item !== items[i])) return `member ${id} diverged`;
    if (state.openViews > 1) return `member ${id} leaks views`;
  }
  await cluster.stop();
  return problem;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`faults of every kind break no guarantee (seed ${seed})`, async (t) => {
    t.is(await run(seed), undefined);
  });
}
