import type { AgentMessage, ManagerMessage } from '@swarm/api';
import { inProtocol, Msgpack, readAgentFrame } from '@swarm/api/wire';

export { MalformedMessage } from '@swarm/api/wire';

/** Turns messages of a dispatcher session into frames and back: plain msgpack maps. */
export class DispatchCodec {
  readonly #msgpack = new Msgpack();

  encode(message: ManagerMessage, protocol: number): Buffer {
    return this.#msgpack.pack(inProtocol(protocol, message));
  }

  /** @throws MalformedMessage when the frame is not a message, or breaks the contract in wire/dispatch.ts */
  decode(frame: Uint8Array): AgentMessage {
    return readAgentFrame(this.#msgpack, frame);
  }
}
