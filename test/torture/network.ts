import { Link } from './link.js';
import { Wire } from './wire.js';

interface Pair {
  readonly wire: Wire;
  /** The other way. */
  readonly reverse: Wire;
  readonly link: Link;
}

/** Everything between the hosts: a wire and a link in each direction for each pair. */
export class Network {
  /** By the place of the sender, then of the receiver; none from a host to itself. */
  private readonly pairs: readonly (readonly (Pair | undefined)[])[];
  /** By the place of the dialling host: node id to port. */
  readonly routes: readonly Readonly<Record<string, number>>[];

  private constructor(pairs: Network['pairs'], routes: Network['routes']) {
    this.pairs = pairs;
    this.routes = routes;
  }

  /** @param nodeIds of the hosts, by place */
  static async up(nodeIds: readonly string[]): Promise<Network> {
    const places = nodeIds.map((_, place) => place);
    const wires = places.map(() => places.map(() => new Wire()));
    const pairs = places.map((from) =>
      places.map((to) => {
        const wire = wires[from]![to]!;
        const reverse = wires[to]![from]!;
        return from === to ? undefined : { wire, reverse, link: new Link(wire, reverse) };
      }),
    );
    const routes: Record<string, number>[] = [];
    for (const from of places) {
      const own: Record<string, number> = {};
      for (const to of places) {
        const link = pairs[from]![to]?.link;
        if (link !== undefined) own[nodeIds[to]!] = await link.listen();
      }
      routes.push(own);
    }
    return new Network(pairs, routes);
  }

  /** Sets where host `to` listens from now on; undefined: nowhere. */
  setTarget(to: number, port: number | undefined): void {
    for (const row of this.pairs) {
      const link = row[to]?.link;
      if (link !== undefined) link.targetPort = port;
    }
  }

  /** Cuts two hosts apart: resets every connection between them and allows no new one. */
  cut(a: number, b: number): void {
    for (const { link } of this.both(a, b)) link.cut();
  }

  /** Holds everything between two hosts, without any sign to them. */
  hold(a: number, b: number): void {
    for (const { wire } of this.both(a, b)) wire.hold();
  }

  /** Holds what `from` sends to `to`, but not the other way. */
  holdOneWay(from: number, to: number): void {
    this.pairs[from]![to]!.wire.hold();
  }

  delayAll(delayMs: () => number): void {
    for (const { wire } of this.all()) wire.delayMs = delayMs();
  }

  /** Lets everything arrive again, held bytes first. @param resets held bytes are lost instead */
  heal(resets: boolean): void {
    for (const { link, wire, reverse } of this.all()) {
      if (resets && (wire.held || reverse.held)) link.cut();
    }
    for (const { link, wire } of this.all()) {
      link.mend();
      wire.delayMs = 0;
      wire.release();
    }
  }

  async down(): Promise<void> {
    await Promise.all(this.all().map(({ link }) => link.close()));
  }

  private both(a: number, b: number): Pair[] {
    return [this.pairs[a]![b]!, this.pairs[b]![a]!];
  }

  private all(): Pair[] {
    return this.pairs.flat().filter((pair) => pair !== undefined);
  }
}
