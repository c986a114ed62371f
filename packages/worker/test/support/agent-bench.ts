import { dispatcherProtocols, PROGRAM, silentLogger, systemClock } from '@swarm/api';
import { WebSocket } from 'ws';
import { Agent } from '../../src/agent/agent.js';
import type { AgentOptions } from '../../src/agent/agent-options.js';
import { agentDatabase } from '../../src/storage/agent-database.js';
import { managersFile } from '../../src/storage/managers-file.js';
import { FakeMesh } from './fake-mesh.js';
import { FakeRuntime } from './fake-runtime.js';
import type { makeTask } from './make-task.js';
import { makeFolder } from './real.js';
import { ScriptedManager } from './scripted-manager.js';

export interface AgentBench {
  readonly manager: ScriptedManager;
  readonly runtime: FakeRuntime;
  readonly mesh: FakeMesh;
  readonly folder: string;
  agent: Agent;
  /** Another agent on the same folder, as after a restart of the daemon. */
  restart(change?: Partial<AgentOptions>): Promise<void>;
  close(): Promise<void>;
}

export async function open(
  prepare: (manager: ScriptedManager) => void = () => {},
  change: Partial<AgentOptions> = {},
): Promise<AgentBench> {
  const manager = await ScriptedManager.listen();
  prepare(manager);
  const folder = makeFolder();
  const runtime = new FakeRuntime();
  const mesh = new FakeMesh();
  const make = (more: Partial<AgentOptions>): Agent =>
    new Agent({
      nodeId: 'node1',
      instance: 'run1',
      runtime,
      mesh,
      connect: ({ address }) =>
        new WebSocket(`ws://${address}/dispatcher`, dispatcherProtocols(PROGRAM.Protocol)),
      managers: managersFile(`${folder.path}/managers.json`, silentLogger),
      storage: agentDatabase(`${folder.path}/tasks`, silentLogger),
      dataPathAddr: '198.18.0.1',
      clock: systemClock(),
      random: () => 0,
      logger: silentLogger,
      ...change,
      ...more,
    });
  const bench: AgentBench = {
    manager,
    runtime,
    mesh,
    folder: folder.path,
    agent: make({}),
    async restart(more = {}) {
      await bench.agent.close();
      bench.agent = make(more);
      await bench.agent.start([manager.address]);
    },
    async close() {
      await bench.agent.close();
      await manager.close();
      folder.remove();
    },
  };
  await bench.agent.start([manager.address]);
  return bench;
}

/** A manager that welcomes and then assigns these tasks, in each session. */
export function assigning(...tasks: ReturnType<typeof makeTask>[]) {
  return (manager: ScriptedManager): void => {
    manager.onHello = () => {
      manager.welcome();
      manager.assignAll(tasks);
    };
  };
}
