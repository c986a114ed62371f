import test from 'ava';
import { ReadMode } from '../../src/core/config.js';
import { Ticker } from '../../src/host/ticker.js';
import { TestCluster, type Host, type ReadOptions } from '../support/cluster.js';
import { type ClockEvent, Prng, VirtualClock } from '@swarm/sim';

const LEASES = { readMode: ReadMode.Lease };

async function led(reads: ReadOptions = LEASES): Promise<{ cluster: TestCluster; leader: Host }> {
  const cluster = await TestCluster.bootstrap(3, 1, {}, reads);
  const leader = await cluster.waitLeader();
  await cluster.propose('a');
  await cluster.clock.advance(500);
  return { cluster, leader };
}

function readsBy({ node }: Host, proof: 'lease' | 'quorum'): number {
  const metric = node!.metrics().find(({ name }) => name === 'swarm_raft_reads_total');
  if (metric?.kind !== 'counter') throw new Error('no such counter');
  return metric.values.find(({ labels }) => labels?.proof === proof)!.value;
}

/** Virtual milliseconds that a read takes. */
async function readMs(cluster: TestCluster, host: Host): Promise<number> {
  const beganMs = cluster.clock.now();
  let endedMs = -1;
  const read = host.node!.readIndex().then(() => {
    endedMs = cluster.clock.now();
  });
  await cluster.finish(read);
  return endedMs - beganMs;
}

test('under a lease a leader answers a read without waiting for anybody, a follower after one round trip', async (t) => {
  for (const readMode of Object.values(ReadMode)) {
    const { cluster, leader } = await led({ readMode });
    cluster.network.latencyMs = 40;
    await cluster.clock.advance(300);
    const follower = cluster.host([1, 2, 3].find((id) => id !== leader.id)!);
    const wanted = readMode === ReadMode.Lease ? [0, 80] : [80, 160];
    t.deepEqual([await readMs(cluster, leader), await readMs(cluster, follower)], wanted, readMode);
    t.is(readsBy(leader, readMode), 2);
    await cluster.stop();
  }
});

test('a leader that is cut off serves reads until its lease has run out, and none after', async (t) => {
  const { cluster, leader } = await led();
  const leftMs = leader.node!.status().leaseRemainingMs;
  // (10-2) ticks of 100 ms and 5 % of drift, less up to a tick since the last heartbeat.
  t.true(leftMs > 600 && leftMs < 724, String(leftMs));
  cluster.isolate(leader.id);
  await cluster.clock.advance(Math.floor(leftMs) - 1);
  t.is(await readMs(cluster, leader), 0);
  await cluster.clock.advance(2);
  t.is(leader.node!.status().leaseRemainingMs, 0);
  const late = leader.node!.readIndex().then(
    () => 'served',
    ({ code }: { code: string }) => code,
  );
  t.regex(await cluster.finish(late), /RAFT_(TIMEOUT|QUORUM_LOST)/);
  await cluster.stop();
});

test('a leader that hung finds its lease run out, though it missed the ticks', async (t) => {
  const { cluster, leader } = await led();
  t.is(await readMs(cluster, leader), 0);
  cluster.isolate(leader.id);
  cluster.clock.stall(1000);
  t.is(leader.node!.status().leaseRemainingMs, 0);
  await cluster.stop();
});

test('handing over ends the lease, and the next leader has its own', async (t) => {
  const { cluster, leader } = await led();
  const transfer = leader.node!.transferLeadership();
  t.is(leader.node!.status().leaseRemainingMs, 0);
  await cluster.finish(transfer);
  const next = await cluster.waitLeader(leader.id);
  await cluster.clock.advance(500);
  t.true(next.node!.status().leaseRemainingMs > 0);
  await cluster.stop();
});

test('members may differ in how they read', async (t) => {
  const { cluster, leader } = await led({});
  t.is(leader.node!.status().leaseRemainingMs, 0);
  const other = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.kill(other);
  await cluster.start(other, LEASES);
  await cluster.clock.advance(1500);
  await cluster.finish(leader.node!.transferLeadership(other));
  await cluster.clock.advance(500);
  t.true(cluster.node(other).status().leaseRemainingMs > 0);
  await cluster.stop();
});

test('a voter that restarts holds up no election for longer than an election timeout', async (t) => {
  const { cluster, leader } = await led();
  const [voter, other] = [1, 2, 3].filter((id) => id !== leader.id) as [number, number];
  await cluster.kill(leader.id);
  await cluster.clock.advance(300);
  await cluster.kill(voter);
  await cluster.start(voter);
  const beganMs = cluster.clock.now();
  await cluster.clock.advance(700);
  t.not(cluster.node(other).status().role, 'leader');
  await cluster.waitLeader(leader.id);
  t.true(cluster.clock.now() - beganMs < 4_000);
  await cluster.stop();
});

test('a lone member leads again at once after a restart', async (t) => {
  const cluster = await TestCluster.bootstrap(1);
  await cluster.propose('a');
  await cluster.kill(1);
  const beganMs = cluster.clock.now();
  await cluster.start(1);
  await cluster.waitLeader();
  t.true(cluster.clock.now() - beganMs < 100);
  await cluster.stop();
});

// --- The basis of promises

/**
 * A clock whose next timer fires this much too early, like Node's timers that are set late in a
 * turn.
 */
class HastyClock extends VirtualClock {
  earlyMs = 0;

  override setTimeout(callback: () => void, delayMs: number): ClockEvent {
    const earlyMs = this.earlyMs;
    this.earlyMs = 0;
    return super.setTimeout(callback, delayMs - earlyMs);
  }
}

test('however late or early its timers run, ticks do not come sooner than promised', async (t) => {
  const clock = new HastyClock();
  const tickMs = 100;
  const ticks: number[] = [];
  const random = new Prng(7, 'test').fraction;
  const below = (limit: number) => Math.floor(random() * limit);
  const ticker = new Ticker(clock, tickMs, () => {
    // What a tick takes in may take long; the next counts from then.
    if (below(4) === 0) clock.stall(below(250));
    ticks.push(clock.now());
  });
  ticker.start();
  for (let i = 0; i < 1500; i++) {
    clock.earlyMs = below(3) === 0 ? below(tickMs) : 0;
    if (below(6) === 0) clock.stall(below(120));
    await clock.advance(below(100));
  }
  ticker.stop();
  t.true(ticks.length > 200);
  for (const count of [3, 5, 10]) {
    // The worst moment is just before a tick.
    for (let i = 0; i + count <= ticks.length; i++) {
      const tookMs = ticks[i + count - 1]! - ticks[i]!;
      t.true(tookMs >= Ticker.leastMs(count, tickMs), `${count} ticks in ${tookMs} ms`);
    }
  }
  t.is(Ticker.leastMs(10, 100), 799);
});
