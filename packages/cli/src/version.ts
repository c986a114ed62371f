import { PROGRAM } from '@swarm/api/program';

/** Version of the whole product; the same in every package. */
export const VERSION = PROGRAM.Version;
