import { type Operation, OpKind, type Prng } from '@swarm/sim';
import type { OperationCounts } from './counts.js';
import type { MemberHost } from './host.js';
import type { KeyRing } from './key-ring.js';
import type { Ledger } from './ledger.js';
import type { OperationAnswer, OperationRequest } from './member-protocol.js';
import type { Patience } from './patience.js';

/** After this a client stops waiting, and continues with something else. */
const ANSWER_MS = 1_000;
/** Mean pause between two operations of a client. */
const THINK_MS = 8;
/** How long to wait when no member can be asked. */
const NOBODY_MS = 50;

export interface ClientScene {
  readonly hosts: readonly MemberHost[];
  readonly ring: KeyRing;
  readonly ledger: Ledger;
  readonly counts: OperationCounts;
  readonly patience: Patience;
  /** The furthest point of the log that any answer has shown. */
  readonly horizon: { index: number };
}

/** Reads, writes and compares-and-sets registers, one operation after another. */
export class Client {
  private readonly id: number;
  private readonly prng: Prng;
  private readonly scene: ClientScene;
  private readonly running: Promise<void>;
  private leader: number | undefined;
  private ended = false;

  constructor(id: number, prng: Prng, scene: ClientScene) {
    this.id = id;
    this.prng = prng;
    this.scene = scene;
    this.running = this.run();
  }

  /** Resolves when its last operation is over. */
  async stop(): Promise<void> {
    this.ended = true;
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.scene.patience;
    while (!this.ended && !signal.aborted) {
      const host = await this.act();
      const ms = host === undefined ? NOBODY_MS : this.prng.delay(THINK_MS);
      await this.scene.patience.pause(ms).catch(() => undefined);
    }
  }

  private async act(): Promise<MemberHost | undefined> {
    const { prng, scene } = this;
    const up = scene.hosts.filter(({ isUp }) => isUp);
    if (up.length === 0) return undefined;
    const draw = prng.below(10);
    const kind = draw < 5 ? OpKind.Read : draw < 8 ? OpKind.Write : OpKind.Cas;
    const anyone = prng.pick(up);
    const leader = up.find(({ id }) => id === this.leader);
    // Sometimes asks any member: a deposed leader must refuse, too.
    const asksLeader = kind !== OpKind.Read && prng.below(8) > 0;
    const host = asksLeader ? (leader ?? anyone) : anyone;
    const key = scene.ring.pick(prng);
    await this.operate(host, kind, key);
    return host;
  }

  private async operate(host: MemberHost, kind: OpKind, key: number): Promise<void> {
    const { ring, ledger, counts, patience, horizon } = this.scene;
    const { index: floor } = horizon;
    // Each value is written once, so that it identifies its writer.
    const value = kind === OpKind.Read ? 0 : ring.nextValue();
    const expected = kind === OpKind.Cas ? ring.seen(key) : 0;
    const operation = ring.invoke({ client: this.id, kind, key, value, expected });
    const request: OperationRequest = { id: operation.id, kind, key, value, expected };
    const call = host.call<OperationAnswer>('operate', request).catch(() => undefined);
    const answer = await patience.within(ANSWER_MS, call);
    if (answer?.outcome === 'done') {
      this.scene.horizon.index = Math.max(horizon.index, answer.index);
      if (kind !== OpKind.Read) this.leader = host.id;
      ring.done(operation, answer);
      ledger.answered(operation, floor);
    } else this.failed(operation, answer);
    counts.operation(operation);
  }

  private failed(operation: Operation, answer: OperationAnswer | undefined): void {
    const { ring, ledger } = this.scene;
    if (operation.kind !== OpKind.Read) {
      this.leader = answer !== undefined && 'leader' in answer ? answer.leader : undefined;
    }
    // A read without a result changed nothing.
    if (operation.kind === OpKind.Read || answer?.outcome === 'refused') {
      ring.refused(operation);
      ledger.refused(operation);
      return;
    }
    ring.unknown(operation);
  }
}
