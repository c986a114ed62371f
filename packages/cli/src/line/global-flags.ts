import type { Command, Flags } from '../command.js';
import { isYesOrNo, YES } from './yes-no.js';

/** Flags of every command, unless the command has its own flag of that name (`service create --host`). */
export const GLOBAL_FLAGS: Flags = {
  help: { type: 'boolean', short: 'h', about: 'show this help', group: 'Global Options' },
  host: {
    type: 'string',
    short: 'H',
    about: 'daemon to talk to: unix://PATH or tcp://HOST:PORT ($SWARM_HOST)',
    group: 'Global Options',
  },
  tlsverify: {
    type: 'boolean',
    about:
      'use TLS to tcp://HOST:PORT ($DOCKER_TLS_VERIFY), with the certificates in $DOCKER_CERT_PATH',
    group: 'Global Options',
  },
};

/** The daemon's address may always come before the command: `swarm --host … service create`. */
export function globalFlags(command: Command): Flags {
  const free = Object.entries(GLOBAL_FLAGS).filter(([name]) => !Object.hasOwn(command.flags, name));
  return Object.fromEntries(free);
}

/** What comes before the command's own words. */
export interface LeadingFlags {
  readonly host: string | undefined;
  readonly tlsVerify: boolean;
  readonly rest: readonly string[];
}

/**
 * Takes the flags that choose the daemon from the front of a command line, written in any way that they may be
 * behind the command. One without its value begins the rest.
 */
export function leadingFlags(words: readonly string[]): LeadingFlags {
  let host: string | undefined;
  let tlsVerify = false;
  for (let at = 0; ; at += 1) {
    const word = words[at] ?? '';
    const [, flag, value] = /^(--host|-H|--tlsverify)(?:=(.*))?$/s.exec(word) ?? [];
    const isHost = flag === '--host' || flag === '-H';
    if (flag === '--tlsverify' && (value === undefined || isYesOrNo(value)))
      tlsVerify = value === undefined || YES.includes(value);
    else if (isHost && value !== undefined) host = value;
    else if (isHost && words[at + 1] !== undefined) {
      at += 1;
      host = words[at];
    } else if (/^-H./.test(word)) host = word.slice('-H'.length);
    else return { host, tlsVerify, rest: withoutSwarm(words.slice(at)) };
  }
}

/** Accepts `swarm swarm init` as `swarm init`, for fingers used to Docker. */
function withoutSwarm(words: readonly string[]): readonly string[] {
  return words[0] === 'swarm' ? words.slice(1) : words;
}
