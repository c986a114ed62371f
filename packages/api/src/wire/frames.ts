import { MalformedMessage } from './malformed.js';
import { type Msgpack, MsgpackError, type MsgpackLimits } from './msgpack.js';
import { ShapeError } from './shape.js';

/** Unpacks a frame and reads it. @throws MalformedMessage for any fault of the frame */
export function readFrame<T>(
  msgpack: Msgpack,
  frame: Uint8Array,
  limits: MsgpackLimits,
  read: (value: unknown) => T,
): T {
  try {
    return read(msgpack.unpack(frame, limits));
  } catch (error) {
    if (error instanceof MsgpackError) {
      throw new MalformedMessage(`not a message: ${error.message}`, { cause: error });
    }
    if (error instanceof ShapeError) throw new MalformedMessage(error.message, { cause: error });
    throw error;
  }
}
