import type { MemberId } from '../core/types.js';
import { LineEnd, type LineEvents, type SnapshotLine } from './snapshot-line.js';

/** What a connection within one process runs over. */
export interface LineWire {
  /** Decides whether the connection breaks instead of carrying this frame. */
  breaks(frame: Uint8Array, from: MemberId, to: MemberId): boolean;
  /** Calls back, in the receiving process, when what is sent now has arrived. */
  carry(from: MemberId, to: MemberId, arrived: () => void): void;
  /** Calls back, in that process, when this end of a broken connection notices. */
  notice(at: MemberId, of: MemberId, noticed: () => void): void;
  /** Decides whether what was in flight when the connection broke still arrives. */
  keepsFlight(): boolean;
}

type Parcel =
  | { readonly frame: Uint8Array }
  | { readonly end: LineEnd; readonly reason: string }
  | 'opened';

/** One end of a snapshot's connection between two members of one process. */
export class PairedLine implements SnapshotLine {
  private readonly wire: LineWire;
  private readonly id: MemberId;
  private readonly farId: MemberId;
  private far!: PairedLine;
  private events: LineEvents | undefined;
  /** In flight to this end, in order. */
  private flight: Parcel[] = [];
  /** Arrived while this end was not reading. */
  private unread: Parcel[] = [];
  private paused = false;
  /** Set once this end is closed, or has noticed that the connection broke. */
  private over = false;
  private broken = false;

  private constructor(wire: LineWire, id: MemberId, farId: MemberId) {
    this.wire = wire;
    this.id = id;
    this.farId = farId;
  }

  /**
   * Makes two ends that belong together. The near one opens when `open` is called at the far one.
   */
  static pair(wire: LineWire, near: MemberId, far: MemberId): [near: PairedLine, far: PairedLine] {
    const ends = [new PairedLine(wire, near, far), new PairedLine(wire, far, near)] as const;
    ends[0].far = ends[1];
    ends[1].far = ends[0];
    return [ends[0], ends[1]];
  }

  listen(events: LineEvents): void {
    this.events = events;
  }

  /** Tells the other end that this one is there. */
  open(): void {
    this.post('opened');
  }

  async send(frame: Uint8Array): Promise<void> {
    if (this.over) throw new Error('the connection is closed');
    if (this.broken) return;
    if (this.wire.breaks(frame, this.id, this.farId)) this.breakOff('the connection broke');
    else this.post({ frame });
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    while (!this.paused && !this.over) {
      const parcel = this.unread.shift();
      if (parcel === undefined) return;
      this.take(parcel);
    }
  }

  /** True once closed here, or noticed to be broken. */
  get isOver(): boolean {
    return this.over;
  }

  get isPaused(): boolean {
    return this.paused;
  }

  close(end: LineEnd, reason: string): void {
    if (this.over) return;
    this.over = true;
    if (!this.broken) this.post({ end, reason });
  }

  /** Cuts both ends off from each other. Each notices by itself. */
  breakOff(reason: string): void {
    if (this.broken || (this.over && this.far.over)) return;
    for (const end of [this, this.far]) {
      end.broken = true;
      if (!end.wire.keepsFlight()) end.flight = [];
      end.wire.notice(end.id, end.farId, () => end.finish(LineEnd.Broken, reason));
    }
  }

  private post(parcel: Parcel): void {
    const { far } = this;
    far.flight.push(parcel);
    // Whichever delivery comes first brings the oldest frame, as on any connection.
    this.wire.carry(this.id, this.farId, () => {
      const oldest = far.flight.shift();
      if (oldest === undefined || far.over) return;
      if (far.paused) far.unread.push(oldest);
      else far.take(oldest);
    });
  }

  private take(parcel: Parcel): void {
    if (parcel === 'opened') this.events?.opened();
    else if ('frame' in parcel) this.events?.frame(parcel.frame);
    else this.finish(parcel.end, parcel.reason);
  }

  private finish(end: LineEnd, reason: string): void {
    if (this.over) return;
    this.over = true;
    this.unread = [];
    this.events?.closed(end, reason);
  }
}
