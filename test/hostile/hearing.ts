import type { ManagerMessage } from '@swarm/api';
import { Unpackr } from 'msgpackr';
import type { Credential } from './credential.js';
import { type Knowledge, LEARNT_LIMIT } from './facts.js';
import { clientFrame, Opcode, takeFrame } from './frames.js';
import { type Judge, tasksOf } from './judge.js';
import type { Line } from './line.js';

const SIGN = Buffer.from('hostile');
/** A ping, which the manager answers once it has read everything before it. */
export const PING = clientFrame({ opcode: Opcode.ping, payload: SIGN });
export const CLOSE = clientFrame({ opcode: Opcode.close, payload: Buffer.from([0x03, 0xe8]) });

export interface HearingOptions {
  readonly line: Line;
  readonly credential: Credential;
  readonly known: Knowledge;
  readonly judge: Judge;
  readonly onProblem: (what: string) => void;
}

/** What a manager sends on a WebSocket. */
export class Hearing {
  readonly #options: HearingOptions;
  readonly #unpackr = new Unpackr({ useRecords: false });
  /** The ping was answered. */
  isDone = false;
  /** Why the manager ended the session; undefined while it lasts. */
  ended: string | undefined;

  constructor(options: HearingOptions) {
    this.#options = options;
  }

  /** Reads what has arrived. @returns whether there is nothing more to wait for */
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
      onProblem(`a manager sent bytes that are not MessagePack: ${(error as Error).message}`);
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

/** Drops the place in a message from a reason, so that there are few different outcomes. */
function shorten(reason: string): string {
  return reason.replace(/:.*/s, '').slice(0, 60);
}

function newest(list: readonly string[], news: readonly string[]): string[] {
  return [...list.filter((each) => !news.includes(each)), ...news].slice(-LEARNT_LIMIT);
}
