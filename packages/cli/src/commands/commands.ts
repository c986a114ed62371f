import type { Command } from '../command.js';
import { BACKUP } from './backup.js';
import { COMPLETION } from './completion.js';
import { DAEMON } from './daemon.js';
import { MESH_COMMANDS } from './mesh.js';
import { DOCTOR_COMMANDS } from './doctor.js';
import { NETWORK_COMMANDS } from './network.js';
import { NODE_COMMANDS } from './node.js';
import { RAFT_COMMANDS } from './raft.js';
import { RESTORE } from './restore.js';
import { SERVICE_COMMANDS } from './service.js';
import { SWARM_COMMANDS } from './swarm.js';
import { SYSTEM_COMMANDS } from './system.js';

export const COMMANDS: readonly Command[] = [
  ...SWARM_COMMANDS,
  DAEMON,
  ...SYSTEM_COMMANDS,
  ...DOCTOR_COMMANDS,
  ...NETWORK_COMMANDS,
  ...NODE_COMMANDS,
  ...SERVICE_COMMANDS,
  BACKUP,
  RESTORE,
  ...RAFT_COMMANDS,
  ...MESH_COMMANDS,
  COMPLETION,
];

/** Words that only come before another one, and what their commands are for. */
export const MANAGEMENT: Readonly<Record<string, string>> = {
  mesh: 'See where the routing mesh leads connections',
  network: 'Manage networks',
  node: 'Manage nodes',
  raft: "Inspect a manager's log and state",
  service: 'Manage services',
};

/** Commands for the cluster as a whole, under their own heading in the overview. */
export const CLUSTER_WORDS: readonly string[] = [
  ...[
    'backup',
    'ca',
    'doctor',
    'init',
    'join',
    'join-token',
    'leave',
    'reconnect',
    'restore',
    'update',
  ],
];

/** Docker's commands that this version does not support. */
export const NOT_YET_COMMANDS = ['config', 'secret', 'stack', 'unlock', 'unlock-key'];

/** Finds the command that a line begins with. */
export function findCommand(words: readonly string[]): Command | undefined {
  return COMMANDS.find((each) => each.path.every((word, at) => words[at] === word));
}

/** The commands under a management word. */
export function commandsOf(word: string | undefined): readonly Command[] {
  return COMMANDS.filter((each) => each.path.length > 1 && each.path[0] === word);
}
