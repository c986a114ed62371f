import test from 'ava';
import type { MemberId } from '../src/core/types.js';
import { runContract, transportContract } from '../src/contract/index.js';
import type { TransportLimits } from '../src/transport/limits.js';
import { type BreakableTransports, resumeContract } from './contract/resume-contract.js';
import { type Breaks, WsHost } from './contract/ws-fixture.js';

async function setup(limits: Partial<TransportLimits> = {}): Promise<BreakableTransports> {
  const hosts = new Map<MemberId, WsHost>();
  let breaks: Breaks = () => false;
  return {
    create: async (id) => {
      const host = hosts.get(id) ?? (await WsHost.create(id));
      hosts.set(id, host);
      host.breaks = (frame, from) => breaks(frame, from);
      return { transport: host.newTransport(limits), member: host.member };
    },
    breakWhen: (holds) => {
      breaks = holds;
    },
    remove: async () => {
      for (const host of hosts.values()) await host.close();
    },
  };
}

runContract(test, 'ws', transportContract, setup);
resumeContract(test, 'ws', setup);
