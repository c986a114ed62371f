/** An HTTP answer. */
export interface Answer {
  readonly status: number;
  /** Lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const HEAD_END = '\r\n\r\n';

/**
 * Takes the first complete answer from the received bytes.
 * @param method of the request: HEAD has no body
 * @returns undefined while it is incomplete
 * @throws Error when it is not HTTP
 */
export function takeAnswer(
  bytes: Buffer,
  method: string,
): { answer: Answer; rest: Buffer } | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end === -1) return undefined;
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const match = /^HTTP\/1\.[01] (\d{3})/.exec(first);
  if (match === null) throw new Error(`no HTTP answer: ${JSON.stringify(first.slice(0, 80))}`);
  const status = Number(match[1]);
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const after = bytes.subarray(end + HEAD_END.length);
  if (status === 100) return takeAnswer(after, method);
  const hasNone = method === 'HEAD' || status === 101 || status === 204 || status === 304;
  if (hasNone) return { answer: { status, headers, body: Buffer.alloc(0) }, rest: after };
  if (headers['transfer-encoding'] === 'chunked') {
    const taken = takeChunks(after);
    return taken === undefined
      ? undefined
      : { answer: { status, headers, body: taken.body }, rest: taken.rest };
  }
  const length = Number(headers['content-length'] ?? 0);
  if (after.length < length) return undefined;
  return {
    answer: { status, headers, body: after.subarray(0, length) },
    rest: after.subarray(length),
  };
}

function takeChunks(bytes: Buffer): { body: Buffer; rest: Buffer } | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (!Number.isSafeInteger(size)) throw new Error('an answer with a chunk without a size');
    const next = end + 2 + size + 2;
    if (bytes.length < next) return undefined;
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = next;
    if (size === 0) return { body: Buffer.concat(parts), rest: bytes.subarray(at) };
  }
}
