import type { AgentMessage } from '@swarm/api';
import {
  type AssignedKindCodecs,
  type ManagerFrame,
  managerFrameReader,
  Msgpack,
} from '@swarm/api/wire';

/** Turns messages of a dispatcher session into frames and back: plain msgpack maps. */
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
   * What a manager says is checked too: its certificate says who it is, not that it is right.
   * @throws MalformedMessage when the message as a whole can not be used
   */
  decode(frame: Uint8Array): ManagerFrame {
    return this.#read(frame);
  }
}
