import { SpecError } from '@swarm/api';
import { RuntimeError } from './runtime-error.js';

/** Runs a rule of specs. @throws RuntimeError `rejected` when the spec breaks it */
export function refused<T>(rule: () => T): T {
  try {
    return rule();
  } catch (error) {
    if (!(error instanceof SpecError)) throw error;
    throw new RuntimeError('rejected', error.message, { cause: error });
  }
}
