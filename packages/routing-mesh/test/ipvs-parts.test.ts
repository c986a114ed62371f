import test from 'ava';
import { balancerContract } from './contract/balancer-contract.js';
import { linksContract } from './contract/links-contract.js';
import { probeContract } from './contract/probe-contract.js';
import { ipvsProblem } from './lab/ipvs.js';
import { PartsLab } from './lab/parts-lab.js';

const problem = await ipvsProblem();

if (problem === undefined) {
  const opened = balancerContract(() => PartsLab.kernel('ip', 'ipvs'));
  linksContract(opened);
  probeContract(opened);
} else {
  test(`SKIPPED, the parts of the ipvs mesh are not tested: ${problem}`, (t) => {
    // The suites of scripts/qemu run where there is IPVS.
    t.is(process.env.SWARM_GUEST, undefined);
  });
}
