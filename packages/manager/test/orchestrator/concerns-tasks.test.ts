import type { Node, NodeDescription } from '@swarm/api';
import test from 'ava';
import { concernsTasks } from '../../src/orchestrator/placement.js';
import { nodeDraft } from '../support/objects.js';

const described = (description: Partial<NodeDescription>): Node => {
  const node = nodeDraft('n1') as Node;
  return { ...node, Description: { ...node.Description!, ...description } };
};

test('what a node reports for users only makes no work of its services', (t) => {
  const conflict = {
    Protocol: 'tcp',
    PublishedPort: 8080,
    Reason: 'nginx (pid 812) listens on it',
  };
  const before = described({});
  t.false(concernsTasks(before, described({ PortConflicts: [conflict] } as never)));
  t.false(concernsTasks(before, described({ ListenPort: 2377 })));
  t.false(concernsTasks(before, { ...before, Description: { ...before.Description! } }));
});

test('what filters and constraints look at does', (t) => {
  const before = described({});
  t.true(concernsTasks(before, described({ Hostname: 'other' })));
  t.true(concernsTasks(before, described({ RuntimeCapabilities: [] as never, Runtime: 'other' })));
  t.true(concernsTasks(before, described({ Resources: { NanoCPUs: 1e9 } })));
  const { Description: _, ...bare } = before;
  t.true(concernsTasks(bare as Node, before));
});
