import { type Node, UNNAMED_PROGRAM } from '@swarm/api';

/** The level that a manager last reported; one that has reported nothing counts as the oldest. */
export interface ManagerLevel {
  readonly nodeId: string;
  /** Empty while unknown. */
  readonly hostname: string;
  readonly newest: number;
  readonly isTold: boolean;
}

export function managerLevel({ ID, Description }: Node): ManagerLevel {
  const program = Description?.Program;
  return {
    nodeId: ID,
    hostname: Description?.Hostname ?? '',
    newest: (program ?? UNNAMED_PROGRAM).FeatureLevel.Newest,
    isTold: program !== undefined,
  };
}
