import { IpvsSocket } from '../../src/balancer/ipvs/ipvs-socket.js';
import { systemKernel } from '../../src/index.js';
import { labProblem } from './lab.js';

/** Why tests of IPVS cannot run here; undefined if they can. Asking loads the kernel's modules. */
export async function ipvsProblem(): Promise<string | undefined> {
  const problem = labProblem();
  if (problem !== undefined) return problem;
  try {
    (await IpvsSocket.open(systemKernel(), true)).close();
    return undefined;
  } catch (error) {
    return `${(error as Error).message}; scripts/qemu runs them with another kernel`;
  }
}
