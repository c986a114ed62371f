import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import {
  labProblem,
  NamesLab,
  type NamesTask,
  plainView,
  type ViewPlan,
} from '@swarm/routing-mesh/testing';
import { atLeast, atMost, median, type Report } from './report.js';

export const DEFAULT_NAMES_ROUNDS = 5;

const SERVICES = 5000;
const MEMBERS = 25_000;
/** Tasks that ask at the same time, and questions that each has waiting. */
const ASKING = 2;
const AT_ONCE = 4;
const TASKS = 500;
const SECONDS = 3;
const CHANGES = 50;
/** What a daemon and its resolver may have resident together, and what a daemon with tasks has. */
const RESIDENT_LIMIT_MB = 150;

const RATE_GOAL = 10_000;
const LATENCY_GOAL_MS = 5;

/** The resolver of one node, in a network of 5,000 services and 25,000 tasks, with 500 tasks of its own. */
export async function benchNames(
  say: (text: string) => void,
  rounds: number = DEFAULT_NAMES_ROUNDS,
): Promise<Report> {
  const problem = labProblem();
  if (problem !== undefined) throw new Error(`scripts/bench names cannot run: ${problem}`);
  const notes = [
    `${availableParallelism()} processors, load average ${loadavg()[0]!.toFixed(1)} at the start; clients run beside the resolver, with its priority`,
    `${ASKING} tasks ask, with ${AT_ONCE} questions each at a time`,
  ];
  const lab = new NamesLab('bn');
  try {
    await lab.start();
    const plan = network('10.0.0.2');
    const asking: NamesTask[] = [];
    for (let each = 0; each < ASKING; each += 1) asking.push(await lab.task());
    const startMs = await timed(() => attach(lab, asking[0]!.taskId, asking[0]!.path));
    for (const { taskId, path } of asking.slice(1)) await attach(lab, taskId, path);
    const firstMs = await lab.node.apply([plainView(plan)]);

    say('answers');
    const rates = { service: [] as number[], tasks: [] as number[] };
    const p99s = { service: [] as number[], tasks: [] as number[] };
    const costs = { service: [] as number[], tasks: [] as number[] };
    for (let round = 1; round <= rounds; round += 1) {
      say(`round ${round}`);
      for (const [kind, name] of [
        ['service', 'service-77'],
        ['tasks', 'tasks.service-77'],
      ] as const) {
        const usedBeforeMs = processorMs(lab.resolverPid!);
        const found = await Promise.all(
          asking.map(({ agent }) => agent.load(name, AT_ONCE, SECONDS)),
        );
        rates[kind].push(found.reduce((sum, { perSecond }) => sum + perSecond, 0));
        const answers = found.reduce((sum, one) => sum + one.answers, 0);
        costs[kind].push(((processorMs(lab.resolverPid!) - usedBeforeMs) * 1000) / answers);
        p99s[kind].push(Math.max(...found.map(({ p99Ms }) => p99Ms)));
      }
    }

    say('changes');
    const changes: number[] = [];
    for (let at = 0; at < CHANGES; at += 1) changes.push(await lab.node.change('network', at));

    say(`${TASKS} tasks`);
    const attaches: number[] = [];
    for (let each = ASKING; each < TASKS; each += 1) {
      const netns = lab.lab.emptyNamespace(`m${each}`);
      lab.lab.sh(netns.split('/').at(-1)!, 'ip link set lo up');
      attaches.push(await timed(() => attach(lab, `task${each}`, netns)));
    }
    const { residentMb, ownMb } = memory(lab.resolverPid!);
    const goals = [
      atLeast('answers for a service a second', median(rates.service), '/s', RATE_GOAL),
      atMost('99th percentile', median(p99s.service), 'ms', LATENCY_GOAL_MS),
      atLeast('answers for tasks.NAME (5 of them) a second', median(rates.tasks), '/s', RATE_GOAL),
      atMost('99th percentile', median(p99s.tasks), 'ms', LATENCY_GOAL_MS),
      atMost(`resolver resident with ${TASKS} tasks`, residentMb, 'MB', RESIDENT_LIMIT_MB),
    ];
    const figures = [
      { name: 'processor time of one answer, service', value: median(costs.service), unit: 'µs' },
      { name: 'processor time of one answer, tasks.NAME', value: median(costs.tasks), unit: 'µs' },
      { name: 'of it, not shared with other processes', value: ownMb, unit: 'MB' },
      { name: 'first task of a node, with the start of the resolver', value: startMs, unit: 'ms' },
      { name: 'task attached (median)', value: median(attaches), unit: 'ms' },
      { name: `first state of ${MEMBERS} tasks`, value: firstMs, unit: 'ms' },
      { name: 'change of one service held (median)', value: median(changes), unit: 'ms' },
    ];
    return { bench: 'names', goals, figures, notes };
  } finally {
    await lab.close();
  }
}

function attach(lab: NamesLab, taskId: string, netns: string): Promise<void> {
  const overlay = {
    networkId: 'network',
    name: 'network',
    subnets: ['10.0.0.0/8'],
    isInternal: false,
    isEncrypted: false,
  };
  const attachments = [{ networkId: 'network', addresses: ['10.9.0.1/32'], overlay }];
  return lab.node.attach({ taskId, netns, attachments });
}

function network(firstVip: string): ViewPlan {
  const address = (block: number, at: number) => `10.${block}.${at >> 8}.${at & 255}`;
  return {
    networkId: 'network',
    subnets: ['10.0.0.0/8'],
    services: Array.from({ length: SERVICES }, (_, at) => ({
      serviceId: `s${at}`,
      names: [`service-${at}`, `alias-${at}`],
      vips: [at === 0 ? firstVip : address(1, at)],
    })),
    members: Array.from({ length: MEMBERS }, (_, at) => ({
      taskId: `m${at}`.padEnd(25, 'x'),
      serviceId: `s${at % SERVICES}`,
      names: [`service-${at % SERVICES}.${Math.floor(at / SERVICES)}.m${at}`.padEnd(40, 'x')],
      addresses: [address(2, at)],
    })),
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** In user and kernel mode, since its start; the kernel counts ticks of 10 ms. */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function memory(pid: number): { readonly residentMb: number; readonly ownMb: number } {
  const read = (file: string, field: string) =>
    Number(
      new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(
        readFileSync(`/proc/${pid}/${file}`, 'utf8'),
      )?.[1],
    ) / 1024;
  return { residentMb: read('status', 'VmRSS'), ownMb: read('smaps_rollup', 'Private_Dirty') };
}
