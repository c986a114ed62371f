import { type Node, UNNAMED_PROGRAM } from '@swarm/api';

/** What a manager said last that it can do; one that has said nothing yet counts as the oldest there is. */
export interface ManagerLevel {
  readonly nodeId: string;
  /** Empty while it is not known. */
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
