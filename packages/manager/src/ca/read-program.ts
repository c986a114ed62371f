import { ApiError, type Program, programShape, shape, UNNAMED_PROGRAM } from '@swarm/api';

/**
 * What a node that joins says it runs.
 * @throws ApiError INVALID_ARGUMENT
 */
export function readProgram(said: unknown): Program {
  if (said === undefined) return UNNAMED_PROGRAM;
  const program = shape.tryRead(programShape, said);
  if (program !== undefined) return program;
  throw new ApiError('INVALID_ARGUMENT', '"program" must name a version, protocols and levels');
}
