import { balancerContract } from './contract/balancer-contract.js';
import { linksContract } from './contract/links-contract.js';
import { probeContract } from './contract/probe-contract.js';
import { PartsLab } from './lab/parts-lab.js';

const opened = balancerContract(() => PartsLab.userspace('d'));
linksContract(opened);
probeContract(opened);
