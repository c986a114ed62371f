import { ApiError } from '../errors.js';
import { isHostImage } from './host-privileges.js';

/** The parts of `[host[:port]/]path[:tag][@digest]`. */
export interface ImageReference {
  readonly name: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** Most characters of the name part (distribution reference grammar). */
export const IMAGE_NAME_LIMIT = 255;

const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[\w][\w.-]{0,127}$/;
const DIGEST = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}$/;

/**
 * Parses an image reference by the grammar of github.com/distribution/reference (familiar names, so host
 * and tag are optional). Returns undefined when it does not parse.
 */
export function parseImageReference(reference: string): ImageReference | undefined {
  if (reference.length > 1024) return undefined;
  const at = reference.indexOf('@');
  const digest = at === -1 ? undefined : reference.slice(at + 1);
  if (digest !== undefined && !DIGEST.test(digest)) return undefined;
  const tagged = at === -1 ? reference : reference.slice(0, at);
  // A colon after the last slash starts the tag; one before it belongs to the host's port.
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1);
  const tag = colon === -1 ? undefined : tagged.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) return undefined;
  const name = colon === -1 ? tagged : tagged.slice(0, colon);
  if (!isName(name)) return undefined;
  return { name, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** Where Docker's clients look for a name without a host. */
const DEFAULT_HOST = 'docker.io';
const DEFAULT_FOLDER = 'library/';
/** Older name of the default host. */
const OLD_DEFAULT_HOST = 'index.docker.io';

/**
 * The one name of an image that has several: `nginx`, `library/nginx:latest` and `index.docker.io/nginx` are
 * `docker.io/library/nginx:latest`. A tag beside a digest says nothing. The image of host commands is `host`.
 */
export function canonicalImage(reference: string): string {
  if (isHostImage(reference)) return 'host';
  const parsed = parseImageReference(reference);
  if (parsed === undefined) return reference;
  const { name, tag = 'latest', digest } = parsed;
  return `${canonicalName(name)}${digest === undefined ? `:${tag}` : `@${digest}`}`;
}

function canonicalName(name: string): string {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const hasHost = slash > 0 && isHostName(first);
  const host = hasHost ? first : DEFAULT_HOST;
  const path = hasHost ? name.slice(slash + 1) : name;
  if (host !== DEFAULT_HOST && host !== OLD_DEFAULT_HOST) return name;
  return `${DEFAULT_HOST}/${path.includes('/') ? path : `${DEFAULT_FOLDER}${path}`}`;
}

/** distribution: the first component of several is a host when it looks like one. */
function isHostName(first: string): boolean {
  return /[.:A-Z]/.test(first) || first === 'localhost';
}

function isName(name: string): boolean {
  if (name === '' || name.length > IMAGE_NAME_LIMIT) return false;
  const components = name.split('/');
  const [first = '', ...rest] = components;
  const isHost = rest.length > 0 && isHostName(first);
  if (isHost && !HOST.test(first)) return false;
  return (isHost ? rest : components).every((component) => COMPONENT.test(component));
}

/** @throws ApiError INVALID_ARGUMENT */
export function checkImage(image: string | undefined): void {
  if (image === undefined || image === '') {
    throw new ApiError('INVALID_ARGUMENT', 'ContainerSpec: image reference must be provided');
  }
  if (parseImageReference(image) === undefined) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `ContainerSpec: "${image}" is not a valid repository/tag`,
    );
  }
}
