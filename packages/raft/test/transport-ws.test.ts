import test from 'ava';
import type { MemberId } from '../src/core/types.js';
import { runContract, transportContract } from '../src/contract/index.js';
import { WsHost } from './contract/ws-fixture.js';

runContract(test, 'ws', transportContract, async () => {
  const hosts = new Map<MemberId, WsHost>();
  return {
    create: async (id) => {
      const host = hosts.get(id) ?? (await WsHost.create(id));
      hosts.set(id, host);
      return { transport: host.newTransport(), member: host.member };
    },
    remove: async () => {
      for (const host of hosts.values()) await host.close();
    },
  };
});
