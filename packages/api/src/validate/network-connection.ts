import { ApiError } from '../errors.js';
import { flag, object, text, unserved } from './field.js';

const body = object({
  Container: text(),
  EndpointConfig: unserved('tasks are found by the names that they have; leave it out'),
  Force: flag(),
});

/**
 * The task that a request connects to a network, or disconnects, by id or name.
 * @throws ApiError INVALID_ARGUMENT when there is none, and see Field
 */
export function decodeConnection(given: unknown): string {
  const { Container = '' } = body.read(given ?? {}, '') ?? {};
  if (Container === '')
    throw new ApiError('INVALID_ARGUMENT', 'Container: name the task to connect');
  return Container;
}
