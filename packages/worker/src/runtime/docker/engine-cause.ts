/** What engines and their runtimes put before a cause, each with its colon. */
const PREAMBLES: readonly RegExp[] = [
  /^error response from daemon: /i,
  /^invalid mount config for type "\w+": /,
  /^failed to create (shim )?task( for container)?: /,
  /^(OCI runtime|runc) create failed: /,
  /^[a-z_]+\.go:\d+: /,
  /^(starting container process|process_linux\.go:\d+: container init) caused( "|: )/,
  /^(unable to start container process|error during container init): /,
];
/** containerd's word for an error without a code of its own. */
const ENDING = /: unknown$/;

/**
 * The cause in an engine's message, without what wraps it: lists show only the beginning of a text.
 * `OCI runtime create failed: … exec: "x": executable file not found in $PATH: unknown` becomes
 * `exec: "x": executable file not found in $PATH`.
 */
export function causeOf(message: string): string {
  let cause = message.trim().replace(ENDING, '');
  for (let isWrapped = true; isWrapped; ) {
    const before = cause;
    for (const preamble of PREAMBLES) cause = cause.replace(preamble, '');
    isWrapped = cause !== before;
  }
  return cause === '' ? message : cause;
}
