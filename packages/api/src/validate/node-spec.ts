import { ApiError } from '../errors.js';
import type { NodeSpec } from '../objects/node.js';
import { choice, map, object, text } from './field.js';
import { checkDnsName } from './names.js';

const nodeShape = object({
  Name: text(),
  Labels: map(text()),
  Role: choice('worker', 'manager'),
  Availability: choice('active', 'pause', 'drain'),
});

/**
 * Reads the body of a node update: a whole spec, as in Docker.
 * @throws ApiError BAD_REQUEST, INVALID_ARGUMENT
 */
export function decodeNodeSpec(body: unknown): NodeSpec {
  const spec = nodeShape.read(body ?? {}, '') ?? {};
  if (spec.Role === undefined) {
    throw new ApiError('INVALID_ARGUMENT', 'Role: must be given, "worker" or "manager"');
  }
  if (spec.Availability === undefined) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      'Availability: must be given, "active", "pause" or "drain"',
    );
  }
  const name = spec.Name ?? '';
  if (name !== '') checkDnsName(name);
  return {
    ...(name !== '' && { Name: name }),
    Labels: spec.Labels ?? {},
    Role: spec.Role,
    Availability: spec.Availability,
  };
}
