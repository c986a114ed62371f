import { type DispatchCodec, MalformedMessage } from './codec.js';
import { MESH_HISTORY_LIMIT, MESH_INFLIGHT_LIMIT, MESH_PIECE_BYTES } from './limits.js';
import { meshPieces } from './mesh-pieces.js';
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
  /** Whether pieces of a generation are still being sent: the next one waits. */
  isMeshUnderWay: boolean;
  sendFrames(frames: readonly Buffer[], done: () => void): void;
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
  /** What leads to the newest generation, encoded, by protocol and base: mostly all sessions need the same. */
  #frames = new Map<string, readonly Buffer[]>();
  #framesOf = -1;

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
    this.#send(session);
  }

  /** Sends the newest generation to all that do not have it. */
  publish(): void {
    for (const session of this.#options.sessions.values()) this.#update(session);
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
    this.#update(session);
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

  #update(session: MeshReceiver): void {
    if (!session.isWelcome || session.isMeshUnderWay) return;
    if (session.meshSent === this.#options.mesh.generation) return;
    if (session.meshInflight.length < MESH_INFLIGHT_LIMIT) this.#send(session);
  }

  #send(session: MeshReceiver): void {
    const { generation } = this.#options.mesh;
    const frames = this.#framesFrom(session.meshSent, session.peer.protocol);
    session.meshSent = generation;
    session.meshInflight.push(generation);
    session.isMeshUnderWay = true;
    session.sendFrames(frames, () => {
      session.isMeshUnderWay = false;
      // What changed meanwhile, unless another session has taken its place.
      if (this.#options.sessions.get(session.nodeId) === session) this.#update(session);
    });
  }

  #framesFrom(base: number, protocol: number): readonly Buffer[] {
    const { codec, mesh } = this.#options;
    if (this.#framesOf !== mesh.generation) {
      this.#frames = new Map();
      this.#framesOf = mesh.generation;
    }
    const key = `${protocol}/${base}`;
    let frames = this.#frames.get(key);
    if (frames === undefined) {
      const pieces = meshPieces(mesh.deltaFrom(base), MESH_PIECE_BYTES);
      const last = pieces.length - 1;
      frames = pieces.map((delta, at) =>
        codec.encode({ type: 'mesh', delta, ...(at < last && { more: true }) }, protocol),
      );
      this.#frames.set(key, frames);
      if (this.#frames.size > MESH_HISTORY_LIMIT) this.#frames = new Map();
    }
    return frames;
  }
}
