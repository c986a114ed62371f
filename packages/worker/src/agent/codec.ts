import type { AgentMessage } from '@swarm/api';
import {
  type AssignedKindCodecs,
  type ManagerFrame,
  managerFrameReader,
  Msgpack,
} from '@swarm/api/wire';

/** Encodes and decodes the frames of a dispatcher session: plain msgpack maps. */
export class AgentCodec {
  readonly #msgpack = new Msgpack();
  readonly #read: (frame: Uint8Array) => ManagerFrame;

  /** @param kinds of objects that managers assign */
  constructor(kinds: AssignedKindCodecs) {
    this.#read = managerFrameReader(this.#msgpack, kinds);
  }

  encode(message: AgentMessage): Buffer {
    return this.#msgpack.pack(message);
  }

  /**
   * Checks what a manager sends, too: its certificate proves who it is, not that it is right.
   * @throws MalformedMessage when the message as a whole cannot be used
   */
  decode(frame: Uint8Array): ManagerFrame {
    return this.#read(frame);
  }
}
