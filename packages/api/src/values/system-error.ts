import { getSystemErrorMap } from 'node:util';

/** Where the system's own words mislead, or say more than is known. */
const WORDS: Readonly<Record<string, string>> = {
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'a part of the path is not a folder',
  ENOENT: 'no such file or folder',
  EEXIST: 'already exists',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files: raise the limit (ulimit -n)',
};

/** Whether the operating system refused a call, so that the message is Node's: `ENOENT: no such file, open '/x'`. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return (
    error instanceof Error &&
    typeof (error as NodeJS.ErrnoException).code === 'string' &&
    typeof (error as NodeJS.ErrnoException).syscall === 'string'
  );
}

/** What the operating system refused, in words and without the name of the call. Other errors as they are. */
export function systemProblem(error: unknown): string {
  // One for each address of a name.
  if (error instanceof AggregateError && error.errors.length > 0)
    return systemProblem(error.errors[0]);
  if (!isSystemError(error)) return error instanceof Error ? error.message : String(error);
  const { code = '', errno } = error;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1];
  return WORDS[code] ?? known ?? code;
}

/** {@link systemProblem} with the file or the address that it is about. */
export function explainSystemError(error: NodeJS.ErrnoException): string {
  const { path, address, port } = error as NodeJS.ErrnoException & {
    readonly address?: string;
    readonly port?: number;
  };
  // A socket in the file system is an address with the port -1.
  const place = port === undefined || port < 0 ? address : `${address}:${port}`;
  const where = path ?? place;
  return where === undefined ? systemProblem(error) : `${where}: ${systemProblem(error)}`;
}
