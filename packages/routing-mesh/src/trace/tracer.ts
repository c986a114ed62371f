import type { IpAddress } from '@swarm/api';
import type { Balancing, Packet, TraceHost } from './packet.js';
import type { Chain, Hook } from './rule.js';
import { type Lead, runRule } from './rule-runner.js';
import type { NftRuleset, NftTable } from './ruleset.js';
import { type Ended, merged, type TraceStep, type World } from './world.js';

/** What becomes of a packet. */
export type TraceFate =
  /** It goes to a program of this host. */
  | { readonly kind: 'local' }
  /** It leaves through the device. */
  | { readonly kind: 'sent'; readonly device: string }
  | { readonly kind: 'dropped' }
  | { readonly kind: 'rejected'; readonly answer: string }
  /** This host has no route to where it should go. */
  | { readonly kind: 'unreachable' };

/** One of the things that can become of a packet. */
export interface TraceOutcome {
  /** 0 to 1; those of all outcomes add up to 1. */
  readonly probability: number;
  readonly fate: TraceFate;
  /** As it is in the end. */
  readonly packet: Packet;
  /** Where it was translated to, if it was. */
  readonly dnat?: { readonly address: IpAddress; readonly port: number };
  /** The source that it got, if it got another. */
  readonly snat?: IpAddress;
  /** Conntrack zone of its connection's original direction. */
  readonly zone: number;
  /** Name of the limit that its connection gets, if it gets one. */
  readonly timeout?: string;
  /** Rules that matched, in order. */
  readonly steps: readonly TraceStep[];
}

/**
 * Says what the rules do to a packet, as the kernel would, with every endpoint that chance may draw. Reads tables as
 * their text says, and no kernel: a rule whose meaning it does not know was refused when the text was read.
 *
 * Rules see a packet of a known connection with its addresses translated back; give it as they see it.
 */
export class PacketTracer {
  readonly #chains: ReadonlyMap<
    Hook['name'],
    readonly { readonly table: NftTable; readonly chain: Chain; readonly hook: Hook }[]
  >;
  readonly #host: TraceHost;
  readonly #balancing: Balancing;

  /** @param balancing what happens to packets between delivery and the program */
  constructor(ruleset: NftRuleset, host: TraceHost, balancing: Balancing = () => undefined) {
    const names = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const;
    const bases = ruleset.tables.flatMap((table) =>
      [...table.chains.values()].flatMap((chain) =>
        chain.hook === undefined ? [] : [{ table, chain, hook: chain.hook }],
      ),
    );
    this.#chains = new Map(
      names.map((name) => [
        name,
        bases
          .filter(({ hook }) => hook.name === name)
          .sort((a, b) => a.hook.priority - b.hook.priority),
      ]),
    );
    this.#host = host;
    this.#balancing = balancing;
  }

  /** @param packet as it comes in, or as a program of this host sends it */
  trace(packet: Packet): readonly TraceOutcome[] {
    const outcomes: TraceOutcome[] = [];
    const start: World = { packet, probability: 1, steps: [], zone: 0 };
    const first = packet.inInterface === undefined ? 'output' : 'prerouting';
    const begun = first === 'output' ? this.#routed([start], outcomes) : [start];
    const passed = this.#hook(first, begun, outcomes);
    for (const world of this.#routed(passed, outcomes)) {
      const { outInterface, inInterface } = world.packet;
      if (outInterface === 'local') {
        const received =
          inInterface === undefined ? [world] : this.#hook('input', [world], outcomes);
        for (const each of received) this.#deliver(each, outcomes);
        continue;
      }
      const forwarded =
        inInterface === undefined ? [world] : this.#hook('forward', [world], outcomes);
      for (const sent of this.#hook('postrouting', forwarded, outcomes)) {
        outcomes.push(outcome(sent, { kind: 'sent', device: outInterface! }));
      }
    }
    return joined(outcomes);
  }

  /** To a program of this host, unless IPVS leads it elsewhere: then as if this host had sent it. */
  #deliver(world: World, outcomes: TraceOutcome[]): void {
    const balance = this.#balancing(world.packet);
    if (balance === undefined) {
      outcomes.push(outcome(world, { kind: 'local' }));
      return;
    }
    const step = { table: 'IPVS', chain: 'IPVS', rule: 0, text: balance.text };
    const { inInterface: _, ...packet } = world.packet;
    const led = balance.places.map(({ address, port, share }) => ({
      ...world,
      probability: world.probability * share,
      steps: [...world.steps, step],
      // No chain that translates is asked about it any more.
      dnat: { address, port },
      packet: { ...packet, destination: address, destinationPort: port },
    }));
    if (led.length === 0) {
      const refusal = { kind: 'rejected', answer: 'icmp port-unreachable' } as const;
      outcomes.push(outcome({ ...world, steps: [...world.steps, step] }, refusal));
    }
    const passed = this.#hook('output', this.#routed(led, outcomes), outcomes);
    for (const sent of this.#hook('postrouting', passed, outcomes)) {
      outcomes.push(outcome(sent, { kind: 'sent', device: sent.packet.outInterface! }));
    }
  }

  #routed(worlds: readonly World[], outcomes: TraceOutcome[]): World[] {
    return worlds.flatMap((world) => {
      const { destination, mark } = world.packet;
      const device = this.#host.route(destination, mark);
      if (device !== undefined)
        return [{ ...world, packet: { ...world.packet, outInterface: device } }];
      outcomes.push(outcome(world, { kind: 'unreachable' }));
      return [];
    });
  }

  /** Passes all base chains of a hook. @returns what goes on */
  #hook(name: Hook['name'], worlds: readonly World[], outcomes: TraceOutcome[]): readonly World[] {
    let live = worlds;
    for (const { table, chain, hook } of this.#chains.get(name)!) {
      const asked = live.filter((world) => hook.type !== 'nat' || isAsked(world, name));
      const others = live.filter((world) => !asked.includes(world));
      if (asked.length === 0) continue;
      const { through, ended } = this.#chain(table, chain, asked);
      const accepted: World[] = [];
      for (const { world, ending } of ended) {
        if (ending.kind === 'accept') accepted.push(world);
        else if (ending.kind === 'drop') outcomes.push(outcome(world, { kind: 'dropped' }));
        else outcomes.push(outcome(world, ending));
      }
      live = merged([...others, ...through, ...accepted]);
    }
    return live;
  }

  /** `through`: cases that the chain leaves to whoever led to it. */
  #chain(
    table: NftTable,
    chain: Chain,
    worlds: readonly World[],
  ): { readonly through: readonly World[]; readonly ended: readonly Ended[] } {
    let live: readonly World[] = worlds;
    const through: World[] = [];
    const ended: Ended[] = [];
    for (const [index, rule] of chain.rules.entries()) {
      const next: World[] = [];
      const led: World[] = [];
      let lead: Lead | undefined;
      for (const before of live) {
        for (const { world, isMatched, way } of runRule(rule, before, table, this.#host)) {
          const step = { table: table.name, chain: chain.name, rule: index, text: rule.text };
          const after = isMatched ? { ...world, steps: [...world.steps, step] } : world;
          if (way.kind === 'next') next.push(after);
          else if (way.kind === 'return') through.push(after);
          else if (way.kind === 'end') ended.push({ world: after, ending: way.ending });
          else {
            // One rule leads to one chain.
            lead = way;
            led.push(after);
          }
        }
      }
      if (lead !== undefined) {
        const result = this.#chain(table, table.chains.get(lead.chain)!, merged(led));
        ended.push(...result.ended);
        (lead.kind === 'jump' ? next : through).push(...result.through);
      }
      live = merged(next);
    }
    return { through: merged([...through, ...live]), ended };
  }
}

/** Chains of type `nat` only see a connection's first packet, until one of them translates it. */
function isAsked({ packet, dnat, snat }: World, name: Hook['name']): boolean {
  if (packet.flow.state !== 'new') return false;
  return (name === 'postrouting' ? snat : dnat) === undefined;
}

function outcome(world: World, fate: TraceFate): TraceOutcome {
  const { packet, probability, steps, zone, timeout, dnat, snat } = world;
  return {
    ...{ probability, fate, packet, zone, steps },
    ...(timeout === undefined ? {} : { timeout }),
    ...(dnat === undefined ? {} : { dnat }),
    ...(snat === undefined ? {} : { snat }),
  };
}

/** Joins outcomes that differ only in the way they came about; the likeliest first. */
function joined(outcomes: readonly TraceOutcome[]): readonly TraceOutcome[] {
  const byEnd = new Map<string, TraceOutcome>();
  for (const each of outcomes) {
    const { fate, packet, dnat, snat, zone, timeout } = each;
    const key = JSON.stringify([fate, packet, dnat, snat, zone, timeout]);
    const before = byEnd.get(key);
    byEnd.set(
      key,
      before === undefined
        ? each
        : { ...before, probability: before.probability + each.probability },
    );
  }
  return [...byEnd.values()].sort((a, b) => b.probability - a.probability);
}
