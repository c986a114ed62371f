import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { parseHostPort } from '@swarm/api';
import { expiresAt, startsAt } from './subject.js';

const TIMEOUT_MS = 3_000;
/** By how much two clocks may differ before they count as different, with the way of the answer. */
const SAME_CLOCK_MS = 5 * 60_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Codes of OpenSSL, as Node.js names them. */
const VALIDITY_CODES: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'];

/** Whether a connection failed because of the time in a certificate. */
export function isValidityError(error: unknown): boolean {
  return VALIDITY_CODES.includes(String((error as NodeJS.ErrnoException | undefined)?.code));
}

/** What a manager's side says about time. Nothing proves it: it serves an explanation only. */
export interface PeerTime {
  /** Milliseconds since the epoch; undefined when it did not say. */
  readonly nowMs: number | undefined;
  readonly startsAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * Explains why this host does not accept the certificate of the manager at an address: asks that manager for
 * its clock and certificate, over a connection that trusts nobody.
 * @param nowMs milliseconds since the epoch, by the clock of this host
 */
export async function explainValidity(address: string, nowMs: number): Promise<string> {
  const peer = await peerTime(address).catch(() => undefined);
  return peer === undefined
    ? `its certificate is not valid by the clock of this host, ${time(nowMs)}: compare the clocks of both hosts`
    : validityProblem(peer, nowMs);
}

/** The sentence, from both clocks and the certificate. Completes "the manager at … could not be talked to: ". */
export function validityProblem(peer: PeerTime, nowMs: number): string {
  const { startsAtMs, expiresAtMs } = peer;
  const life = `its certificate is valid from ${time(startsAtMs)} to ${time(expiresAtMs)}`;
  const theirs = peer.nowMs ?? Number.NaN;
  const apartMs = Math.abs(theirs - nowMs);
  if (Number.isNaN(theirs)) {
    return `${life}, and the clock of this host says ${time(nowMs)}: compare the clocks of both hosts`;
  }
  if (apartMs > SAME_CLOCK_MS) {
    const ahead = theirs > nowMs ? 'behind' : 'ahead';
    return `${life}; the clock of this host says ${time(nowMs)}, that of the manager ${time(theirs)}: they are ${apart(apartMs)} apart (this one ${ahead}), so set the wrong one right`;
  }
  return theirs > expiresAtMs
    ? `${life}, and both clocks say ${time(nowMs)}: start the daemon of that manager again, which renews its own certificate`
    : `${life}, and both clocks say ${time(nowMs)}: the clock of the host that issued it was ahead; start the daemon of that manager again, which issues its certificate once more`;
}

function peerTime(address: string): Promise<PeerTime> {
  const target = parseHostPort(address);
  if (target === undefined) return Promise.reject(new Error('not an address'));
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...target,
        method: 'GET',
        path: '/ca/root',
        agent: false,
        servername: '',
        rejectUnauthorized: false,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      },
      (incoming) => {
        const certificate = (incoming.socket as TLSSocket).getPeerX509Certificate();
        incoming.resume();
        outgoing.destroy();
        if (certificate === undefined) return reject(new Error('no certificate'));
        const nowMs = Date.parse(incoming.headers.date ?? '');
        resolve({
          nowMs: Number.isNaN(nowMs) ? undefined : nowMs,
          startsAtMs: startsAt(certificate),
          expiresAtMs: expiresAt(certificate),
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** To the minute: a sentence that is said again stays the same for a while. A stranger may have any time. */
function time(ms: number): string {
  if (Number.isNaN(new Date(ms).getTime())) return 'a time that cannot be read';
  return `${new Date(ms).toISOString().slice(0, 16)}Z`;
}

function apart(ms: number): string {
  if (ms >= 2 * DAY_MS) return `${Math.round(ms / DAY_MS)} days`;
  if (ms >= 2 * HOUR_MS) return `${Math.round(ms / HOUR_MS)} hours`;
  return `${Math.round(ms / MINUTE_MS)} minutes`;
}
