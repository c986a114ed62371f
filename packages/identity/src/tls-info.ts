import { X509Certificate } from 'node:crypto';
import type { TLSInfo } from '@swarm/api';

const SEQUENCE = 0x30;
const CONTEXT_0 = 0xa0;

/**
 * The root that a node trusts, as Docker shows it of clusters and nodes: clients compare the two. Reads the
 * few bytes that it needs itself, because a worker that runs does not load the X.509 library.
 * @param rootCertificate PEM
 */
export function tlsInfo(rootCertificate: string): TLSInfo {
  const certificate = new X509Certificate(rootCertificate);
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return {
    TrustRoot: rootCertificate,
    CertIssuerSubject: subjectOf(certificate.raw).toString('base64'),
    CertIssuerPublicKey: key.toString('base64'),
  };
}

/** The DER of a certificate's subject: the fifth field, not counting the version (RFC 5280, section 4.1). */
function subjectOf(certificate: Buffer): Buffer {
  const [body] = fieldsOf(contentOf(certificate));
  const fields = fieldsOf(contentOf(body!));
  const [, , , , subject] = fields[0]?.[0] === CONTEXT_0 ? fields.slice(1) : fields;
  if (subject?.[0] !== SEQUENCE) throw new Error('a certificate without a subject');
  return subject;
}

/** The values in a DER sequence, each with its head. `X509Certificate` has checked that they are whole. */
function fieldsOf(content: Buffer): readonly Buffer[] {
  const fields: Buffer[] = [];
  for (let at = 0; at < content.length; ) {
    const rest = content.subarray(at);
    const { start, length } = headOf(rest);
    fields.push(rest.subarray(0, start + length));
    at += start + length;
  }
  return fields;
}

function contentOf(value: Buffer): Buffer {
  const { start, length } = headOf(value);
  return value.subarray(start, start + length);
}

/** Where the content of a DER value begins, and its length in bytes (X.690, section 8.1.3). */
function headOf(value: Buffer): { readonly start: number; readonly length: number } {
  const first = value[1] ?? 0;
  if (first < 0x80) return { start: 2, length: first };
  const size = first - 0x80;
  return { start: 2 + size, length: value.readUIntBE(2, size) };
}
