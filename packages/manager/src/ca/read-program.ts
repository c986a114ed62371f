import { ApiError, type Program, programShape, shape, UNNAMED_PROGRAM } from '@swarm/api';

/**
 * Reads the program that a joining node says it runs; UNNAMED_PROGRAM when it names none.
 * @throws ApiError INVALID_ARGUMENT
 */
export function readProgram(said: unknown): Program {
  if (said === undefined) return UNNAMED_PROGRAM;
  const program = shape.tryRead(programShape, said);
  if (program !== undefined) return program;
  throw new ApiError('INVALID_ARGUMENT', '"program" must name a version, protocols and levels');
}
