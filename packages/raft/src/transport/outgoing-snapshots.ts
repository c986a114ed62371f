import type { MemberId } from '../core/types.js';
import type { TransportEnvironment } from './environment.js';
import type { Hello } from './hello.js';
import type { TransportLimits } from './limits.js';
import type { SnapshotLine } from './snapshot-line.js';
import { type OutgoingSnapshot, SnapshotSender } from './snapshot-sender.js';
import type { SnapshotStep } from './transport.js';

/** What a transport gives its outgoing snapshots, and what they report to it. */
export interface OutgoingSnapshotsOptions {
  readonly limits: TransportLimits;
  readonly environment: TransportEnvironment;
  /** Begins a connection for a snapshot to this member. @throws when there can be none */
  dial(to: MemberId): SnapshotLine;
  hello(to: MemberId): Hello;
  /** Reports a step of a transfer that was neither ended nor replaced. */
  step(to: MemberId, step: SnapshotStep): void;
  /**
   * Reports the end of a transfer that was neither ended nor replaced; `ok` when the receiver took
   * it.
   */
  sent(to: MemberId, ok: boolean): void;
  /** Says why a snapshot was not taken, even one that was ended or replaced. */
  failed?(snapshot: OutgoingSnapshot, error: Error): void;
}

/**
 * The outgoing snapshots of one member, at most one to each other member. Reports nothing more
 * about one that was ended, or replaced by a newer one to the same member.
 */
export class OutgoingSnapshots {
  private readonly options: OutgoingSnapshotsOptions;
  private readonly senders = new Map<MemberId, SnapshotSender>();
  private transfers = 0;

  constructor(options: OutgoingSnapshotsOptions) {
    this.options = options;
  }

  send(snapshot: OutgoingSnapshot): void {
    const { options, senders } = this;
    const { to } = snapshot.message;
    this.end(to, 'a newer snapshot is being sent');
    const sender: SnapshotSender = new SnapshotSender({
      dial: () => options.dial(to),
      hello: options.hello(to),
      number: ++this.transfers,
      limits: options.limits,
      environment: options.environment,
      step: (step) => {
        if (senders.get(to) === sender) options.step(to, step);
      },
    });
    senders.set(to, sender);
    const done = (ok: boolean): void => {
      if (senders.get(to) !== sender) return;
      senders.delete(to);
      options.sent(to, ok);
    };
    sender.run(snapshot).then(
      () => done(true),
      (error: Error) => {
        options.failed?.(snapshot, error);
        done(false);
      },
    );
  }

  end(to: MemberId, reason: string): void {
    const sender = this.senders.get(to);
    this.senders.delete(to);
    sender?.abort(reason);
  }

  endAll(reason: string): void {
    for (const to of [...this.senders.keys()]) this.end(to, reason);
  }
}
