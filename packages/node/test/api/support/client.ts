import http from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** The body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it freely
  readonly json: any;
  readonly message: string;
}

export interface Sent {
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent unchanged. */
  readonly raw?: string | Buffer;
  readonly headers?: http.OutgoingHttpHeaders;
}

/** One request over a unix socket, on a connection of its own. */
export function call(
  socketPath: string,
  method: string,
  path: string,
  { json, raw, headers = {} }: Sent = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { socketPath, method, path, headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const body = Buffer.concat(chunks);
          const text = body.toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body,
            text,
            get json() {
              return JSON.parse(text);
            },
            get message() {
              return JSON.parse(text).message;
            },
          });
        });
      },
    );
    request.once('error', reject);
    request.end(json === undefined ? raw : JSON.stringify(json));
  });
}

/** Waits until `condition` holds; fails after `timeoutMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 5000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('the condition was not met in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
