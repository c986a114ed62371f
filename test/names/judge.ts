import type { Outage } from '../chaos/record.js';

/** What a task saw: this answer to this name, each time it asked from `from` to `to`. Times in ms since 1970. */
export interface Sighting {
  readonly task: string;
  readonly node: string;
  readonly service: string;
  readonly name: string;
  /** Addresses in order, or `error` and a code. */
  readonly answer: string;
  readonly from: number;
  readonly to: number;
}

/** What the store said at a time: addresses of the tasks that serve, by service, and the nodes that run them. */
export interface Moment {
  readonly at: number;
  readonly serving: Readonly<Record<string, readonly Member[]>>;
}

export interface Member {
  readonly address: string;
  readonly node: string;
}

/** What a name leads to: a virtual address, or the tasks of a service. */
export type Meaning = { readonly virtual: string } | { readonly tasksOf: string };

export interface Names {
  readonly meanings: Readonly<Record<string, Meaning>>;
  readonly moments: readonly Moment[];
  readonly outages: readonly Outage[];
}

export interface NameFault {
  readonly why: string;
  readonly sighting: Sighting;
  readonly expected?: string;
}

/** The address of a dead task may be seen this long after its node knew. */
const STALE_LIMIT_MS = 1_000;
/** After healing, every name is right within this time. */
const HEAL_LIMIT_MS = 2_000;
/** What the store says is as old as this, at most; and a question takes a moment. */
const SLACK_MS = 500;
/** The name exists, and no task serves. */
const NONE_SERVES = 'error ENODATA';
/** A node that is cut off leaves out what it cannot reach after this time. */
const UNREACHABLE_KNOWN_MS = 10_000;

/** Finds answers that are wrong: of another service, of the dead, incomplete, or none. */
export class NameJudge {
  readonly #names: Names;
  /** By service and address: when it served last, as far as the store knew; undefined while it does. */
  readonly #goneAt = new Map<string, number | undefined>();

  constructor(names: Names) {
    this.#names = names;
    const { moments } = names;
    for (const { at, serving } of moments) {
      const now = new Set(
        Object.entries(serving).flatMap(([service, members]) =>
          members.map(({ address }) => `${service} ${address}`),
        ),
      );
      for (const key of now) this.#goneAt.set(key, undefined);
      for (const [key, goneAt] of this.#goneAt)
        if (goneAt === undefined && !now.has(key)) this.#goneAt.set(key, at);
    }
  }

  judge(sightings: readonly Sighting[]): NameFault[] {
    return sightings.flatMap((sighting) => this.#faultOf(sighting) ?? []);
  }

  #faultOf(sighting: Sighting): NameFault | undefined {
    const meaning = this.#names.meanings[sighting.name];
    if (meaning === undefined) return { why: 'nobody asked for this name', sighting };
    const isEmpty = sighting.answer === NONE_SERVES && 'tasksOf' in meaning;
    if (sighting.answer.startsWith('error') && !isEmpty) return { why: 'no answer', sighting };
    if ('virtual' in meaning) {
      const expected = meaning.virtual;
      return sighting.answer === expected
        ? undefined
        : { why: 'not the virtual address', sighting, expected };
    }
    return this.#tasks(sighting, meaning.tasksOf);
  }

  #tasks(sighting: Sighting, service: string): NameFault | undefined {
    const { node, to } = sighting;
    const addresses = sighting.answer === NONE_SERVES ? [] : sighting.answer.split(',');
    for (const address of addresses) {
      const key = `${service} ${address}`;
      if (!this.#goneAt.has(key))
        return { why: 'not of this service', sighting, expected: address };
      const goneAt = this.#goneAt.get(key) ?? Infinity;
      if (this.#knewAt(node, goneAt, to) + STALE_LIMIT_MS + SLACK_MS < to)
        return { why: 'of a task that is gone', sighting, expected: `not ${address}` };
    }
    return this.#incomplete(sighting, service, addresses);
  }

  /** When a node knew what the store said at `at`: after a cut, within the limit after healing. */
  #knewAt(node: string, at: number, now: number): number {
    const outage = this.#outageOf(node, now, HEAL_LIMIT_MS);
    if (outage !== undefined) return Infinity;
    return Math.max(
      at,
      ...this.#names.outages
        .filter((each) => each.node === node && each.from - SLACK_MS <= at && at <= each.back)
        .map(({ back }) => back + HEAL_LIMIT_MS),
    );
  }

  #isOut(node: string, first: number, last: number): boolean {
    return this.#names.outages.some(
      (each) =>
        each.node === node && each.from - SLACK_MS <= last && first <= each.back + HEAL_LIMIT_MS,
    );
  }

  #outageOf(node: string, at: number, afterMs = 0): Outage | undefined {
    return this.#names.outages.find(
      (each) => each.node === node && each.from - SLACK_MS <= at && at <= each.back + afterMs,
    );
  }

  /** Compares with what the store said all the time, where it said the same for long enough. */
  #incomplete(
    sighting: Sighting,
    service: string,
    addresses: readonly string[],
  ): NameFault | undefined {
    const { node, from, to } = sighting;
    for (const [expected, since, until] of this.#steady(service)) {
      const first = Math.max(from, since + HEAL_LIMIT_MS);
      const last = Math.min(to, until - SLACK_MS);
      if (first > last) continue;
      const outage =
        this.#outageOf(node, first, HEAL_LIMIT_MS) ?? this.#outageOf(node, last, HEAL_LIMIT_MS);
      if (outage !== undefined) {
        const fault = this.#beyondReach(sighting, expected, addresses, outage);
        if (fault !== undefined) return fault;
        continue;
      }
      // Others may notice that a node is out before the store says so.
      const must = expected.filter((member) => !this.#isOut(member.node, first, last));
      const isRight =
        must.every(({ address }) => addresses.includes(address)) &&
        addresses.every((each) => expected.some(({ address }) => address === each));
      if (isRight) continue;
      const text = expected.map(({ address }) => address).join();
      return { why: 'not what the store says', sighting, expected: text };
    }
    return undefined;
  }

  /** A node that is cut off has its own tasks alone in answers, as long as there are any. */
  #beyondReach(
    sighting: Sighting,
    members: readonly Member[],
    addresses: readonly string[],
    outage: Outage,
  ): NameFault | undefined {
    const own = members.filter(({ node }) => node === sighting.node).map(({ address }) => address);
    if (own.length === 0 || sighting.to < outage.from + UNREACHABLE_KNOWN_MS) return undefined;
    if (sighting.to > outage.back) return undefined;
    const far = addresses.filter((address) => !own.includes(address));
    return far.length === 0
      ? undefined
      : { why: 'out of reach of a node that is cut off', sighting, expected: own.join() };
  }

  /** Stretches of time in which a service had the same members. */
  *#steady(service: string): Generator<[readonly Member[], number, number]> {
    const text = (moment: Moment): string => JSON.stringify(moment.serving[service] ?? []);
    let first: Moment | undefined;
    let last: Moment | undefined;
    for (const moment of this.#names.moments) {
      if (first !== undefined && last !== undefined && text(first) !== text(moment)) {
        yield [first.serving[service] ?? [], first.at, last.at];
        first = undefined;
      }
      first ??= moment;
      last = moment;
    }
    if (first !== undefined && last !== undefined)
      yield [first.serving[service] ?? [], first.at, last.at];
  }
}
