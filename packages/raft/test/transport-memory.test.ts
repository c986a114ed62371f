import test from 'ava';
import type { MemberId } from '../src/core/types.js';
import { runContract, transportContract } from '../src/contract/index.js';
import { MemoryNetwork } from '../src/transport/memory-transport.js';
import type { TransportLimits } from '../src/transport/limits.js';
import { type BreakableTransports, resumeContract } from './contract/resume-contract.js';

async function setup(limits: Partial<TransportLimits> = {}): Promise<BreakableTransports> {
  let breaks: (frame: Uint8Array, from: MemberId) => boolean = () => false;
  const network = new MemoryNetwork({ limits, breaks: (frame, from) => breaks(frame, from) });
  return {
    create: async (id) => ({
      transport: network.join(id),
      member: { id, address: `memory:${id}`, nodeId: `node-${id}` },
    }),
    breakWhen: (holds) => {
      breaks = holds;
    },
    remove: async () => {},
  };
}

runContract(test, 'memory', transportContract, setup);
resumeContract(test, 'memory', setup);
