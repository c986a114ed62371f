/** One frame of Docker's multiplexed stream. */
export function frame(stream: 1 | 2 | 3, text: string | Uint8Array): Buffer {
  const data = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}
