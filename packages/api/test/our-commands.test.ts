import test from 'ava';
import { ourCommands } from '../src/values/our-commands.js';

const TEXTS: readonly (readonly [docker: string, ours: string])[] = [
  ['run `docker swarm leave --force` on this node', 'run `swarm leave --force` on this node'],
  ['use \'docker node rm x\', then "docker info"', 'use \'swarm node rm x\', then "swarm info"'],
  ['"docker swarm join-token worker"', '"swarm join-token worker"'],
  ['the docker swarm, and "docker run"', 'the docker swarm, and "docker run"'],
  ["'swarm update --host-privileges root'", "'swarm update --host-privileges root'"],
];
for (const [docker, ours] of TEXTS) {
  test(`advice: ${docker}`, (t) => t.is(ourCommands(docker), ours));
}
