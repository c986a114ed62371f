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
