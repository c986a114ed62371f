import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@swarm/api';
import { parseTunnelKey, type TunnelKeyPair } from '@swarm/routing-mesh';
import { PRIVATE_FILE, PRIVATE_FOLDER } from './private-folder.js';

const FILE = 'tunnel-key.json';
/** How old a key becomes. */
export const TUNNEL_KEY_AGE_MS = 30 * 24 * 60 * 60 * 1000;

/** What the file holds. */
interface StoredKey {
  /** PEM, PKCS 8. */
  readonly privateKey: string;
  /** Milliseconds since the epoch. */
  readonly madeAtMs: number;
}

/**
 * The node's key pair for encrypted networks, in a file that only the daemon's user can read. Makes another when there is
 * none, when it is old, and when the file cannot be read: others learn the new one, so nothing is lost with it.
 * @param nowMs milliseconds since the epoch
 */
export async function openTunnelKey(
  folder: string,
  nowMs: number,
  logger: Logger,
): Promise<TunnelKeyPair> {
  const file = join(folder, FILE);
  const stored = await readStored(file, logger);
  const ageMs = stored === undefined ? 0 : nowMs - stored.madeAtMs;
  if (stored !== undefined && ageMs >= 0 && ageMs < TUNNEL_KEY_AGE_MS) return stored.keys;
  const { privateKey } = generateKeyPairSync('x25519');
  const text: StoredKey = {
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    madeAtMs: nowMs,
  };
  await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER });
  const next = await open(`${file}.next`, 'w', PRIVATE_FILE);
  try {
    await next.writeFile(`${JSON.stringify(text)}\n`);
    await next.sync();
  } finally {
    await next.close();
  }
  await rename(`${file}.next`, file);
  if (stored !== undefined) logger.info({}, 'this node has a new key for encrypted networks');
  return keyPair(privateKey);
}

async function readStored(
  file: string,
  logger: Logger,
): Promise<{ keys: TunnelKeyPair; madeAtMs: number } | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { privateKey, madeAtMs } = JSON.parse(text) as Partial<StoredKey>;
    if (typeof privateKey !== 'string' || typeof madeAtMs !== 'number') throw new Error('no key');
    return { keys: keyPair(createPrivateKey(privateKey)), madeAtMs };
  } catch (error) {
    logger.warn({ file, err: error }, 'the key for encrypted networks is damaged; making another');
    return undefined;
  }
}

function keyPair(key: KeyObject): TunnelKeyPair {
  const { crv, x, d } = key.export({ format: 'jwk' });
  if (crv !== 'X25519' || x === undefined || d === undefined) throw new Error('not an X25519 key');
  const publicKey = parseTunnelKey(Buffer.from(x, 'base64url').toString('base64'));
  if (publicKey === undefined) throw new Error('not a usable X25519 key');
  return { publicKey, privateKey: Buffer.from(d, 'base64url') };
}
