import type { ManagerMessage } from '@swarm/api';
import { Unpackr } from 'msgpackr';
import type { Credential } from './credential.js';
import { type Knowledge, LEARNT_LIMIT } from './facts.js';
import { clientFrame, Opcode, takeFrame } from './frames.js';
import { type Judge, tasksOf } from './judge.js';
import type { Line } from './line.js';

const SIGN = Buffer.from('hostile');
/** What the manager answers to, once it has read what was before it. */
export const PING = clientFrame({ opcode: Opcode.ping, payload: SIGN });
export const CLOSE = clientFrame({ opcode: Opcode.close, payload: Buffer.from([0x03, 0xe8]) });

export interface HearingOptions {
  readonly line: Line;
  readonly credential: Credential;
  readonly known: Knowledge;
  readonly judge: Judge;
  readonly onProblem: (what: string) => void;
}

/** What a manager says on a WebSocket. */
export class Hearing {
  readonly #options: HearingOptions;
  readonly #unpackr = new Unpackr({ useRecords: false });
  /** The ping was answered. */
  isDone = false;
  /** Why the manager ended the session; undefined as long as it has not. */
  ended: string | undefined;

  constructor(options: HearingOptions) {
    this.#options = options;
  }

  /** Takes what came. @returns whether no more needs to be waited for */
  readonly look = (): boolean => {
    const { line } = this.#options;
    for (let taken = takeFrame(line.inbox); taken !== undefined; taken = takeFrame(line.inbox)) {
      line.inbox = taken.rest;
      const { opcode, payload } = taken.frame;
      if (opcode === Opcode.binary) this.#message(payload);
      else if (opcode === Opcode.pong) this.isDone ||= payload.equals(SIGN);
      else if (opcode === Opcode.close)
        this.ended ??= `close ${payload.length >= 2 ? payload.readUInt16BE(0) : ''}`;
    }
    return this.isDone || this.ended !== undefined;
  };

  #message(payload: Buffer): void {
    const { judge, credential, onProblem } = this.#options;
    let message: ManagerMessage;
    try {
      message = this.#unpackr.unpack(payload) as ManagerMessage;
    } catch (error) {
      onProblem(`a manager sent what is no MessagePack: ${(error as Error).message}`);
      return;
    }
    const wrong = judge.message(credential, message, payload);
    if (wrong !== undefined) onProblem(wrong);
    this.#learn(message);
    if (message.type === 'session-end') this.ended ??= shorten(message.reason);
    if (message.type === 'not-leader') this.ended ??= 'not-leader';
  }

  #learn(message: ManagerMessage): void {
    const { known, credential } = this.#options;
    const { nodeId = '' } = credential;
    if (message.type === 'assignments') {
      const running = tasksOf(message).filter(({ DesiredState }) => DesiredState === 'running');
      known.ownTasks[nodeId] = newest(
        known.ownTasks[nodeId] ?? [],
        running.map(({ ID }) => ID),
      );
    }
    if (message.type === 'welcome') known.assigned[nodeId] = 0;
    if (message.type === 'assignments') known.assigned[nodeId] = message.resultsIn;
    if (message.type === 'mesh') known.generations[nodeId] = message.delta.generation;
    if (message.type === 'log-subscribe')
      known.subscriptions = newest(known.subscriptions, [message.subscription]);
  }
}

/** Keeps counts few: the place in a message does not make another outcome. */
function shorten(reason: string): string {
  return reason.replace(/:.*/s, '').slice(0, 60);
}

function newest(list: readonly string[], news: readonly string[]): string[] {
  return [...list.filter((each) => !news.includes(each)), ...news].slice(-LEARNT_LIMIT);
}
