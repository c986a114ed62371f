const BLOCK_BYTES = 512;

/** A tar archive (POSIX ustar) of one executable file that belongs to root. */
export function tarFile(name: string, data: Uint8Array): Buffer {
  const blocks = Math.ceil(data.length / BLOCK_BYTES);
  // The header, the file, and two blocks of zeros as the end.
  const archive = Buffer.alloc((1 + blocks + 2) * BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number): void => {
    archive.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  };
  archive.write(name, 0, 100, 'utf8');
  octal(0o755, 100, 7);
  octal(0, 108, 7); // user
  octal(0, 116, 7); // group
  octal(data.length, 124, 11);
  octal(0, 136, 11); // time
  archive.write(' '.repeat(8), 148, 'latin1'); // the checksum counts itself as spaces
  archive.write('0', 156, 'latin1'); // regular file
  archive.write('ustar\x0000', 257, 'latin1');
  const sum = archive.subarray(0, BLOCK_BYTES).reduce((total, byte) => total + byte, 0);
  archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  archive.set(data, BLOCK_BYTES);
  return archive;
}
