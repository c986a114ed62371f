import { OverlayCluster } from '@swarm/routing-mesh/lab';
import { atMost, median } from '../report.js';
import type { Figures } from './traffic.js';

const TASKS = 60;

/** How long a task's links take to come and go, one at a time. */
export async function measureNamespaces(say: (text: string) => void): Promise<Figures> {
  say(`links of ${TASKS} tasks`);
  const cluster = await OverlayCluster.open('bn', 1);
  try {
    const { agent } = cluster.nodes[0]!;
    const up: number[] = [];
    const down: number[] = [];
    for (let i = 0; i < TASKS; i++) {
      const netns = cluster.lab.emptyNamespace(`e${i}`);
      const taskId = String(i).padStart(12, '0');
      const attachments = [{ networkId: 'bench', addresses: [`10.240.1.${20 + i}/32`] }];
      const begin = performance.now();
      await agent.attach({ taskId, netns, attachments });
      up.push(performance.now() - begin);
    }
    for (let i = 0; i < TASKS; i++) {
      const begin = performance.now();
      await agent.detach(String(i).padStart(12, '0'));
      down.push(performance.now() - begin);
    }
    return {
      goals: [
        atMost("task's links up, median", median(up), 'ms', 30),
        atMost("task's links down, median", median(down), 'ms', 30),
      ],
      figures: [
        { name: "task's links up, slowest", value: Math.max(...up), unit: 'ms' },
        { name: "task's links down, slowest", value: Math.max(...down), unit: 'ms' },
      ],
      notes: [],
    };
  } finally {
    await cluster.close();
  }
}
