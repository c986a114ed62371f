/**
 * The attacker's process, separate so that its load does not slow the observers. See bench/raft/child.ts
 * for the calls.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { parseHostPort } from '@swarm/api';
import { answerCalls, tell } from '../bench/raft/child.js';
import { Attack } from './attack.js';
import type { AttackerNews, AttackerStart, HoardOrder } from './attacker-protocol.js';
import { Counts } from './counts.js';
import type { Credential } from './credential.js';
import type { Knowledge } from './facts.js';
import { Judge } from './judge.js';
import { upgradeRequest } from './requests.js';
import { Residences } from './resident.js';
import { type Script, Scripts } from './script.js';

/** Connections at once. More are not faster on two processors. */
const IN_FLIGHT = 12;
const RESIDENT_REST_MS = 200;
const NEWS_MS = 250;
const RECENT_LIMIT = 30;
/** How much of a message to report with a problem. */
const TOLD_BYTES = 120;
const TOLD_MESSAGES = 5;
const OPENED_AT_ONCE = 50;

class Attacker {
  readonly #start: AttackerStart;
  readonly #scripts: Scripts;
  readonly #residences: Residences;
  readonly #attack: Attack;
  readonly #counts = new Counts();
  readonly #problems: string[] = [];
  readonly #recent: string[] = [];
  #next: number;
  #messages = 0;
  #connections = 0;
  #isStopped = false;

  constructor(start: AttackerStart) {
    this.#start = start;
    const known: Knowledge = {
      ...start.facts,
      ...{ ownTasks: {}, generations: {}, assigned: {}, subscriptions: [], speaker: '' },
      requests: start.requests,
    };
    this.#residences = new Residences(start.seed, known);
    this.#scripts = new Scripts(start.seed, known, start.credentials, start.identity);
    this.#attack = new Attack({
      known,
      judge: new Judge(start.secrets),
      counts: this.#counts,
      onProblem: (script, what) => this.#problems.push(`${what}\n${describe(script)}`),
    });
    this.#next = start.first;
  }

  async run(): Promise<void> {
    const news = setInterval(() => tell(this.#news(false)), NEWS_MS);
    const residents = this.#residents();
    await Promise.all(Array.from({ length: IN_FLIGHT }, () => this.#lane()));
    this.#isStopped = true;
    await residents;
    clearInterval(news);
    tell(this.#news(true));
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #lane(): Promise<void> {
    const { last = Number.POSITIVE_INFINITY, messages } = this.#start;
    while (!this.#isStopped && this.#messages < messages && this.#next <= last) {
      const script = this.#scripts.script(this.#next++);
      this.#recent.push(brief(script));
      if (this.#recent.length > RECENT_LIMIT) this.#recent.shift();
      const reached = await this.#attack.run(script);
      this.#messages += reached;
      this.#connections += 1;
    }
  }

  /** Runs the nodes that stay, beside the connections that come and go. */
  async #residents(): Promise<void> {
    const { credentials, identity } = this.#start;
    const all = credentials.filter(({ isResident }) => isResident === true);
    if (identity !== undefined && identity !== 'worker') return;
    await Promise.all(all.map((credential, place) => this.#resident(credential, place)));
  }

  async #resident(credential: Credential, place: number): Promise<void> {
    for (let turn = 1; !this.#isStopped; turn++) {
      const residence = this.#residences.residence(credential, place, turn);
      const script: Script = {
        ...{
          number: turn,
          lane: 'resident',
          credential,
          manager: 0,
          resumes: true,
          hurries: false,
        },
        ...{ upgrade: upgradeRequest('/dispatcher'), messages: [residence.hello], end: 'cut' },
      };
      const reached = await this.#attack.reside(script, residence, () => this.#isStopped);
      this.#messages += reached;
      this.#connections += 1;
      // Rests, so that a manager that is gone is not asked in a tight loop.
      await delay(RESIDENT_REST_MS);
    }
  }

  #news(isDone: boolean): AttackerNews {
    return {
      messages: this.#messages,
      connections: this.#connections,
      counts: this.#counts.take(),
      problems: this.#problems.splice(0),
      recent: this.#recent,
      isDone,
    };
  }
}

function brief({ number, lane, credential, manager, messages }: Script): string {
  return `connection ${number}: ${credential.name}, ${lane}, manager ${manager + 1}, ${messages.length} messages, last ${messages.at(-1)?.label}`;
}

function describe(script: Script): string {
  const shown = script.messages.slice(-TOLD_MESSAGES).map(({ label, bytes }) => {
    const more = bytes.length > TOLD_BYTES ? `… (${bytes.length} bytes)` : '';
    return `    ${label}: ${JSON.stringify(bytes.toString('latin1', 0, TOLD_BYTES))}${more}`;
  });
  return [`  ${brief(script)}`, ...shown].join('\n');
}

/** Connections that are held until they are released. */
class Hoard {
  readonly #sockets: Socket[] = [];

  /** Opens as many connections to the first manager as it accepts. @returns how many were open */
  async open(start: AttackerStart, { connections, slowBodies }: HoardOrder): Promise<number> {
    const { host, port } = parseHostPort(start.facts.managers[0]!.address)!;
    const nobody = start.credentials.find(({ name }) => name === 'nobody')!;
    const where = { host, port, localAddress: nobody.from };
    let stood = 0;
    for (let left = connections; left > 0; left -= OPENED_AT_ONCE) {
      const some = Array.from({ length: Math.min(left, OPENED_AT_ONCE) }, () =>
        this.#keep(connectTcp(where)),
      );
      const opened = await Promise.allSettled(some.map((socket) => once(socket, 'connect')));
      stood += opened.filter(({ status }) => status === 'fulfilled').length;
    }
    for (let i = 0; i < slowBodies; i++) {
      const socket = this.#keep(connectTls({ ...where, rejectUnauthorized: false }));
      socket.once('secureConnect', () =>
        socket.write(
          'POST /ca/certificates HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n' +
            ' '.repeat(59_000),
        ),
      );
    }
    return stood;
  }

  release(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
  }

  #keep<S extends Socket>(socket: S): S {
    this.#sockets.push(socket);
    // It expects to be cut off.
    socket.on('error', () => {});
    return socket;
  }
}

let attacker: Attacker | undefined;
let started: AttackerStart | undefined;
const hoard = new Hoard();

answerCalls({
  start(start: AttackerStart) {
    started = start;
    attacker = new Attacker(start);
    void attacker.run();
  },
  stop() {
    attacker?.stop();
  },
  hoard: (order: HoardOrder) => hoard.open(started!, order),
  release: () => hoard.release(),
});
