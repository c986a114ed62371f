import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '@swarm/api';
import { REJOIN } from './identify.js';

/** What a node proves its identity with, all PEM. */
export interface NodeIdentity {
  readonly rootCertificate: string;
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
}

const ROOT_FILE = 'swarm-root-ca.crt';
const CERTIFICATE_FILE = 'swarm-node.crt';
const KEY_FILE = 'swarm-node.key';
/** Suffix of a file that is written and synced before it is renamed. */
const NEXT = '.next';

/**
 * Writes an identity. After a crash at any point `loadNodeIdentity` returns the complete old or the complete
 * new one: both new files are on disk before either gets its name, and the certificate gets its name first.
 * @param folder usually `<state>/certificates`; created when missing
 */
export async function saveNodeIdentity(folder: string, identity: NodeIdentity): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeSynced(join(folder, ROOT_FILE + NEXT), identity.rootCertificate);
  await rename(join(folder, ROOT_FILE + NEXT), join(folder, ROOT_FILE));
  await writeSynced(join(folder, KEY_FILE + NEXT), identity.key);
  await writeSynced(join(folder, CERTIFICATE_FILE + NEXT), identity.certificate);
  await syncFolder(folder);
  await rename(join(folder, CERTIFICATE_FILE + NEXT), join(folder, CERTIFICATE_FILE));
  await rename(join(folder, KEY_FILE + NEXT), join(folder, KEY_FILE));
  await syncFolder(folder);
}

/**
 * Reads the identity that `saveNodeIdentity` wrote; undefined when the node has none.
 * @throws ApiError INTERNAL when the files are damaged or do not belong together
 */
export async function loadNodeIdentity(folder: string): Promise<NodeIdentity | undefined> {
  const rootCertificate = await readIfThere(join(folder, ROOT_FILE));
  const certificate = await readIfThere(join(folder, CERTIFICATE_FILE));
  if (rootCertificate === undefined || certificate === undefined) return undefined;
  const key = await readIfThere(join(folder, KEY_FILE));
  if (key !== undefined && belongs(folder, certificate, key)) {
    return { rootCertificate, certificate, key };
  }
  // After a crash between the two renames the certificate is new and its key still has the temporary name.
  const next = await readIfThere(join(folder, KEY_FILE + NEXT));
  if (next !== undefined && belongs(folder, certificate, next)) {
    await rename(join(folder, KEY_FILE + NEXT), join(folder, KEY_FILE));
    await syncFolder(folder);
    return { rootCertificate, certificate, key: next };
  }
  throw damaged(folder, 'the key does not belong to the certificate');
}

function belongs(folder: string, certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw damaged(folder, 'a file is not PEM', error);
  }
}

function damaged(folder: string, why: string, cause?: unknown): ApiError {
  const message = `The node's certificate in ${folder} is unusable (${why}): ${REJOIN}.`;
  return new ApiError('INTERNAL', message, { cause });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    // The mode of `open` does not apply to a file that already exists, left by a crash.
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
