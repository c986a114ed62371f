import type { TraceStep } from './world.js';

/** What the last rule of a packet means to people: its chain, and what its text has. */
const REASONS: readonly (readonly [chain: RegExp, text: RegExp, reason: string])[] = [
  [/^refuse$/, /./, 'the published port has no task that is ready'],
  [/^vip_refuse$/, /./, 'the service has no task on the network that is ready'],
  [/^from_task$/, /saddr != @own/, "the source is not an address of the task's link"],
  [/^from_task$/, /!= @joined/, 'the task is not on the network of that address'],
  [/^from_task$/, /@internal/, 'the network is internal: nothing outside is reached through it'],
  [/^from_task$/, /saddr @networks/, 'the source belongs to a network that the task is not on'],
  [/^from_peer$/, /./, 'no task of the same network sends this from that node'],
  [/^forwarded$/, /ct state invalid/, 'the packet belongs to no known connection'],
  [/^forwarded$/, /ct status ! dnat drop/, 'tasks are only reached through published ports'],
  [/^forwarded$/, /daddr @networks reject/, 'no task has that address on the network'],
  [/^guard_refuse$/, /./, 'no rule of the service admits the client'],
  [/^received$/, /@underlay/, 'the tunnel packet comes from an address of no node'],
];

/** Why a packet was dropped or rejected. */
export function reasonOf(steps: readonly TraceStep[]): string {
  const last = steps.at(-1);
  if (last === undefined) return 'the node has no way to that address';
  const found = REASONS.find(([chain, text]) => chain.test(last.chain) && text.test(last.text));
  return found?.[2] ?? `the rule "${last.text}" refuses it`;
}
