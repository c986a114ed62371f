import { type DispatchCodec, MalformedMessage } from './codec.js';
import { MESH_INFLIGHT_LIMIT } from './limits.js';
import type { MeshPublisher } from './mesh-publisher.js';

/** A session as the delivery of the mesh sees it, with how far its agent is. */
export interface MeshReceiver {
  readonly nodeId: string;
  readonly peer: { readonly protocol: number };
  /** Whether the agent was welcomed: nothing is sent to it before. */
  readonly isWelcome: boolean;
  /** Newest mesh generation sent, those sent and not acknowledged, and the newest acknowledged. */
  meshSent: number;
  meshInflight: number[];
  meshAcked: number;
  sendFrame(frame: Buffer): void;
}

export interface MeshDeliveryOptions {
  readonly codec: Pick<DispatchCodec, 'encode'>;
  readonly mesh: Pick<MeshPublisher, 'generation' | 'deltaFrom'>;
  /** Sessions that said hello, by node. */
  readonly sessions: ReadonlyMap<string, MeshReceiver>;
  /** Called after each acknowledgement, and after each generation that went out. */
  readonly changed: () => void;
}

/**
 * Brings every agent's mesh up to date, in deltas from what it was sent before, and knows who acknowledged
 * what. An agent has at most MESH_INFLIGHT_LIMIT deltas to work off; what changes meanwhile becomes one.
 */
export class MeshDelivery {
  readonly #options: MeshDeliveryOptions;

  constructor(options: MeshDeliveryOptions) {
    this.#options = options;
  }

  /** Takes over what an agent has, by its hello. */
  register(session: MeshReceiver, generation: number): void {
    // What its kernel holds may be of a cluster that was restored since.
    session.meshAcked = generation <= this.#options.mesh.generation ? generation : 0;
  }

  /** Sends what the agent lacks, even if that is nothing: it waits for its first mesh. */
  begin(session: MeshReceiver): void {
    session.meshSent = session.meshAcked;
    this.#send(session, new Map());
  }

  /** Sends the newest generation to all that do not have it. */
  publish(): void {
    const frames = new Map<string, Buffer>();
    for (const session of this.#options.sessions.values()) this.#update(session, frames);
    this.#options.changed();
  }

  /** @throws MalformedMessage if that generation was not sent */
  acknowledge(session: MeshReceiver, generation: number): void {
    if (generation > session.meshSent) {
      throw new MalformedMessage('acknowledges a mesh generation that was not sent');
    }
    // A repetition, or a generation that was part of a later delta: nobody waits for it.
    if (!session.meshInflight.includes(generation)) return;
    session.meshAcked = Math.max(session.meshAcked, generation);
    session.meshInflight = session.meshInflight.filter((sent) => sent > generation);
    this.#update(session, new Map());
    this.#options.changed();
  }

  /** Nodes with a session that may still route by a generation before this one. */
  behind(generation: number): string[] {
    const behind: string[] = [];
    for (const session of this.#options.sessions.values()) {
      if (session.meshAcked < generation) behind.push(session.nodeId);
    }
    return behind;
  }

  #update(session: MeshReceiver, frames: Map<string, Buffer>): void {
    if (!session.isWelcome || session.meshSent === this.#options.mesh.generation) return;
    if (session.meshInflight.length < MESH_INFLIGHT_LIMIT) this.#send(session, frames);
  }

  /** @param frames encoded already, by protocol and base: mostly all sessions need the same */
  #send(session: MeshReceiver, frames: Map<string, Buffer>): void {
    const { codec, mesh } = this.#options;
    const { protocol } = session.peer;
    const key = `${protocol}/${session.meshSent}`;
    let frame = frames.get(key);
    if (frame === undefined) {
      frame = codec.encode({ type: 'mesh', delta: mesh.deltaFrom(session.meshSent) }, protocol);
      frames.set(key, frame);
    }
    session.sendFrame(frame);
    const { generation } = mesh;
    session.meshSent = generation;
    session.meshInflight.push(generation);
  }
}
