import { type AgentMessage, DISPATCH_FRAME_LIMIT_BYTES, type ManagerMessage } from '@swarm/api';
import { Packr } from 'msgpackr';

/** Turns messages of a dispatcher session into frames and back: plain msgpack maps. */
export class AgentCodec {
  // Without records every frame stands for itself.
  readonly #packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });

  encode(message: AgentMessage): Buffer {
    // msgpackr reuses its buffer, ws may hold on to what it is given.
    const frame = Buffer.from(this.#packr.pack(message));
    if (frame.length > DISPATCH_FRAME_LIMIT_BYTES) {
      throw new Error(`a ${message.type} message of ${frame.length} bytes is over the limit`);
    }
    return frame;
  }

  /** @throws when it is no message; what a manager says is trusted otherwise, it has a certificate */
  decode(frame: Uint8Array): ManagerMessage {
    const fields: unknown = this.#packr.unpack(frame);
    if (typeof fields !== 'object' || fields === null || !('type' in fields)) {
      throw new Error('a frame that is no message');
    }
    return fields as ManagerMessage;
  }
}
